"""The Fleet kind: which nodes form a fleet, which boards they are, and the agents that run on them."""
