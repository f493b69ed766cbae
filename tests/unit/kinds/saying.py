"""What a status update says, in the short form of tables."""

from __future__ import annotations

from bramble.kinds.status_update import StatusUpdate


def said(update: StatusUpdate) -> tuple[str, dict[str, str]]:
    """The phase, and the status and reason of each condition by type. Every condition must have a message."""
    assert [condition.type for condition in update.conditions if not condition.message] == [], "a condition has no message"
    return update.phase, {condition.type: f"{condition.status}/{condition.reason}" for condition in update.conditions}
