"""Training programs as a user would bring them."""
