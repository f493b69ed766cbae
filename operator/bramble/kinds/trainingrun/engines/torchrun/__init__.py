"""PyTorch distributed: an attempt is one Indexed Job with a fixed number of pods, and a headless Service gives them names."""
