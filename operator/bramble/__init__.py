"""Bramble: trains models on GPUs, proves them on the Raspberry Pi, keeps a fleet on a model that is known to be good."""
