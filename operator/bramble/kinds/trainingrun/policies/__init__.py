"""One decision a file; `trainingrun.plan` gives their order."""
