"""The layer that runs kopf. Its handlers pass on what the watches deliver, and decide nothing."""
