"""The stable version has been measured on a board of the fleet on which it was not measured when it was promoted."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.rollout import reasons
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.status import names, remember_rollout, waiting


def add_boards(seen: Observed, now: datetime) -> Plan | None:
    """Serve the nodes of that board as well. They served nothing of this model before, so there is nothing to compare with.

    A board that already has a package keeps it, even where the ModelVersion would choose another variant now: only a new version changes
    what a node serves.
    """
    stable, wanted = seen.status.stable, seen.wanted
    if seen.status.candidate is not None or stable is None or wanted is None or wanted.uid != stable.uid:
        return None
    added = {board: package for board, package in wanted.packages.items() if board not in stable.packages}
    if not added:
        return None
    message = f"{stable.ref} has been measured on board {names(added)} since it was promoted; the nodes of that board serve it now"
    extended = stable.model_copy(update={"packages": {**stable.packages, **added}})
    return remember_rollout(seen, waiting(seen, reasons.BOARD_ADDED, message), now, stable=extended)
