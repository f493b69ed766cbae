"""The policies of a Dataset, one in each file; `dataset/plan.py` gives their order."""
