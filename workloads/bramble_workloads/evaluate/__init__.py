"""Scores an exported package on the frozen test split and judges its gates."""
