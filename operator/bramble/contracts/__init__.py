"""What the operator, the jobs, the gateway and the devices agree on, typed once.

A package of its own below all others: it imports pydantic and an RFC 8785 library only, and is the one part of the
operator that `bramble_workloads` may import.
"""

__version__ = "0.1.0"
"""Of Bramble as a whole; images carry code without package metadata, so it stands here."""
