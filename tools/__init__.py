"""Tools that the tests, the demo and the examples share."""
