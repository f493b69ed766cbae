"""Where kopf ends: its handlers hand what a watch delivered to the engine's feed, and decide nothing."""
