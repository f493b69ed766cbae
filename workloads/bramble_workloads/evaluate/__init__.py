"""Scores an exported package on a frozen split, and holds it against its gates."""
