"""Slots and what was seen, in few words, for tables."""

from __future__ import annotations

from typing import Any

from bramble.contracts.assignment import Assignment
from bramble.contracts.canonical import digest_of
from bramble_workloads.edge.assignment.decide import Observed, Serving
from bramble_workloads.edge.slots.slots import Attempt, Slots, accept

NODE, BOARD, BOOT = "pi-1", "virtual", "boot-1"


def package(name: str) -> str:
    """A digest for a name: `v1`."""
    return digest_of(name.encode())


V1, V2, V3 = package("v1"), package("v2"), package("v3")


def assignment(stable: str | None = V1, candidate: str | None = None, seq: int = 1, **changes: Any) -> Assignment:
    fields: dict[str, Any] = {
        "fleet": "rooms",
        "namespace": "ads",
        "model": "digits",
        "rollout_uid": "uid-1",
        "attempt": 1,
        "seq": seq,
        "nodes": {BOARD: (NODE, "pi-2")},
        "stable": {BOARD: stable} if stable else {},
        "candidate": {BOARD: candidate} if candidate else None,
        "candidate_nodes": (NODE,) if candidate else (),
        **changes,
    }
    return Assignment.model_validate(fields)


def slots(stable_version: str | None = V1, on_trial: str | None = None, **fields: Any) -> Slots:
    """Slots that accepted an assignment, with any further fields."""
    accepted = accept(None, assignment(stable_version, on_trial), NODE)
    assert accepted is not None
    return accepted.model_copy(update=fields)


def attempt(name: str, n: int = 1, boot: str = BOOT, phase: str = "trying") -> Attempt:
    return Attempt.model_validate({"package": name, "boot_id": boot, "n": n, "phase": phase})


def serving(name: str, cohort: Any = "stable", number: int = 1, uid: str = "uid-1") -> Serving:
    return Serving(name, cohort, number, uid)


def seen(remembered: Slots, now_serving: Serving | None = None, **changes: Any) -> Observed:
    """All packages on the disk, the gateway heard of just now, nothing failed, unless said otherwise."""
    fields: dict[str, Any] = {
        "present": frozenset({V1, V2, V3}),
        "withdrawn": False,
        "contact": 100.0,
        "now": 100.0,
        "ttl": 600.0,
        **changes,
    }
    return Observed(slots=remembered, serving=now_serving, **fields)
