"""Fleet: which nodes are one fleet, and what boards they are."""
