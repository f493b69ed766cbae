"""What a model can be trained for: one file a task, found through the tuple in `catalogue`."""
