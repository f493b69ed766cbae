"""What models are trained and judged for: one folder a task, found through the tuple in `catalogue`."""
