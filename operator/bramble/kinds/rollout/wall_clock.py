"""A ledger that was written while the time that passes are planned by was ahead. Pure.

The ledger's times are seconds since 1970, by the clock of the API server; those of former releases are by that of whoever led then. A time
that is still to come would hide what happens until then: losses would count as older than the attempt, and a node's counts as more than it
can have had. So such times are set back by as much as the ledger's own time is ahead. Times that have passed stay as they are, since nobody
can tell which clock they are of.
"""

from __future__ import annotations

from bramble.kinds.rollout.ledger import GrowthGuard, Ledger, LossLedger, NodeLosses, NodeRecord, Sums, Watch


class _Back:
    """Sets times back that are later than now."""

    def __init__(self, now: int, ahead: int) -> None:
        self._now, self._ahead = now, ahead

    def time(self, at: int) -> int:
        return max(0, at - self._ahead) if at > self._now else at

    def node(self, node: NodeRecord) -> NodeRecord:
        return node.model_copy(update={"at": self.time(node.at)}) if node.at > self._now else node

    def lost(self, node: NodeLosses) -> NodeLosses:
        return node.model_copy(update={"at": self.time(node.at)}) if node.at > self._now else node

    def losses(self, losses: LossLedger) -> LossLedger:
        moment = losses.moment
        if moment is not None:
            moment = moment.model_copy(update={"began": self.time(moment.began)})
        return losses.model_copy(update={"moment": moment, "nodes": {name: self.lost(node) for name, node in losses.nodes.items()}})

    def growth(self, guard: GrowthGuard) -> GrowthGuard:
        return guard.model_copy(update={"ready_at": self.time(guard.ready_at)})

    def sums(self, sums: Sums | None) -> Sums | None:
        return sums.model_copy(update={"began": self.time(sums.began)}) if sums is not None else None

    def watch(self, watch: Watch) -> Watch:
        tests = {"own_test": watch.own_test, "allowed_test": watch.allowed_test, "limit_test": watch.limit_test}
        return watch.model_copy(update={"began": self.time(watch.began), **{name: self.sums(test) for name, test in tests.items()}})


def set_back(ledger: Ledger, now: int) -> Ledger:
    """The ledger without times that are still to come.

    Args:
        now: seconds since 1970.
    """
    if ledger.at <= now:
        return ledger
    back = _Back(now, ledger.at - now)
    return ledger.model_copy(
        update={
            "at": now,
            "began": back.time(ledger.began),
            "losses": back.losses(ledger.losses),
            "growth": tuple(map(back.growth, ledger.growth)),
            "watches": tuple(map(back.watch, ledger.watches)),
            "nodes": {name: back.node(node) for name, node in ledger.nodes.items()},
        }
    )
