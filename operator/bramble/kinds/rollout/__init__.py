"""Rollout: keeps one model on one fleet; tries a new version step by step, compares, and promotes or undoes it."""
