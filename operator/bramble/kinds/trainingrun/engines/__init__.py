"""An engine makes several nodes train together: each has a folder here, and `catalogue` names them all.

`base` holds the interface, and what every engine's pods have in common.
"""
