"""The field: what stands in front of each board and asks it about pictures."""
