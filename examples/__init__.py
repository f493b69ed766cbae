"""Examples that run whole on the local cluster."""
