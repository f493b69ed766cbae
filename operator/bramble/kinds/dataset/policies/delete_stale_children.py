"""Deletes the Jobs and ConfigMaps of attempts that are over, and a Job that goes on although its outcome is recorded."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.dataset.observed import Observed
from bramble.kinds.jobs.outlived import due
from bramble.kinds.jobs.stale_children import delete_stale
from bramble.kinds.plan import Plan


def delete_stale_children(seen: Observed, _: datetime) -> Plan | None:
    """Delete them as soon as they are seen."""
    return delete_stale((*seen.stale_children, *due(seen.outlived)))
