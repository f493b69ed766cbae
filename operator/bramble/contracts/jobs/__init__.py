"""The job and the result of each step: one file for each."""
