"""Freezes a Dataset: lists its sources, reads and checks every picture, copies them to blobs, splits them and writes the manifest."""
