"""The formats in which a Dataset can read its sources: one file for each format, listed in `catalogue`."""
