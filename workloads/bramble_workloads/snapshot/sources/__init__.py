"""The readers of sources: one file for each format, listed in `catalogue`."""
