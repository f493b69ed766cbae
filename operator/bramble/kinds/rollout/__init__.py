"""Rollout: which version of a model a fleet runs, and how a new one takes over."""
