"""Stores that are not as they should be: slow, failing, with a key that is rotated. `make compat` runs these tests."""
