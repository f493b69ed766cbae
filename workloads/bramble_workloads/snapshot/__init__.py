"""Freezes a Dataset: lists the sources, reads and checks every picture, copies them to blobs, splits them, and writes the manifest."""
