"""The device: its pure parts by table, its whole as a real process against a fake gateway."""
