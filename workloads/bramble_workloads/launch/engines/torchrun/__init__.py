"""PyTorch's elastic agent as an engine."""
