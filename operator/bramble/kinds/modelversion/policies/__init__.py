"""One decision a file; `modelversion.plan` gives their order."""
