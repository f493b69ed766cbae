"""Image classification: one label for each picture."""
