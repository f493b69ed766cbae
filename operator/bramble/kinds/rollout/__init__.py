"""Rollout: one model on one fleet, paced, watched, promoted or undone."""
