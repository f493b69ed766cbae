"""The names of the field managers of Bramble's writes (KEP-555, server-side apply)."""

from __future__ import annotations

OPERATOR = "bramble-operator"
"""Manager of children, labels, finalizers and the Lease."""

OPERATOR_STATUS = "bramble-operator-status"
"""Manager of the status of Bramble's kinds."""
