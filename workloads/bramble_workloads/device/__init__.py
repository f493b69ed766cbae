"""What the benchmark job and the agent of a device share: blobs, the gateway, loading a package, memory and the board."""
