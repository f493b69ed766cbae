"""Who owns which field: the managers that our writes are recorded under (KEP-555)."""

from __future__ import annotations

OPERATOR = "bramble-operator"
"""Children, labels, finalizers, the Lease."""

OPERATOR_STATUS = "bramble-operator-status"
"""The status of our own kinds."""
