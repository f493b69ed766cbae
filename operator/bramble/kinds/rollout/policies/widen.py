"""The stable version has been proved on a board that it was not proved on before."""

from __future__ import annotations

from datetime import datetime

from bramble.kinds.plan import Plan
from bramble.kinds.rollout.observed import Observed
from bramble.kinds.rollout.stating import keep, names, waiting


def widen(seen: Observed, now: datetime) -> Plan | None:
    """Serve the nodes of that board too. They served nothing of this model before, so there is nothing to compare with.

    A board that has a package keeps it, whatever the ModelVersion would choose now: what runs changes by a new version only.
    """
    stable, wanted = seen.status.stable, seen.wanted
    if seen.status.candidate is not None or stable is None or wanted is None or wanted.uid != stable.uid:
        return None
    added = {board: package for board, package in wanted.packages.items() if board not in stable.packages}
    if not added:
        return None
    message = f"{stable.ref} has been measured on board {names(added)} since: its nodes are served from now on"
    wider = stable.model_copy(update={"packages": {**stable.packages, **added}})
    return keep(seen, waiting(seen, "BoardAdded", message), now, stable=wider)
