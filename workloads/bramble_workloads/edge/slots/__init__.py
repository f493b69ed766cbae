"""What the device remembers of one assignment, and how it is kept on the disk: packages in slots, crashes, and the blobs that must stay."""
