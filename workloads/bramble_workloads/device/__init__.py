"""Code that the agent and the benchmark job share: blobs, calls to the gateway, loading a package, memory limits and board facts."""
