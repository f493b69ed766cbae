"""The policies of a ModelVersion, one in each file; `modelversion/plan.py` gives their order."""
