"""The tasks that models are trained for. Each task is a folder, and `catalogue` lists them."""
