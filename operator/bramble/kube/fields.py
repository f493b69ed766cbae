"""The field managers that our writes are recorded under (KEP-555, server-side apply)."""

from __future__ import annotations

OPERATOR = "bramble-operator"
"""Manager of children, labels, finalizers and the Lease."""

OPERATOR_STATUS = "bramble-operator-status"
"""Manager of the status of our own kinds."""
