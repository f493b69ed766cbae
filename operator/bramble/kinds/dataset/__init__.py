"""Dataset: pictures checked, split and frozen."""
