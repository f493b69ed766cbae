"""The operator killed at its writes, on a real cluster with real jobs."""
