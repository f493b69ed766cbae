"""One decision a file; `dataset.plan` gives their order."""
