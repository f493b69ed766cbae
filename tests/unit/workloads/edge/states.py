"""Builds slots and observed states for the tables of tests, with defaults for all fields that a test does not name."""

from __future__ import annotations

from typing import Any

from bramble.contracts.assignment import Assignment
from bramble.contracts.canonical import digest_of
from bramble_workloads.edge.assignment.decide import Observed, Serving
from bramble_workloads.edge.slots.slots import Attempt, Slots, accept

NODE, BOARD, BOOT = "pi-1", "virtual", "boot-1"


def package(name: str) -> str:
    """A digest that stands for the package with this name."""
    return digest_of(name.encode())


V1, V2, V3 = package("v1"), package("v2"), package("v3")


def assignment(stable: str | None = V1, candidate: str | None = None, seq: int = 1, **changes: Any) -> Assignment:
    """An assignment of two nodes; the node `pi-1` is the only one with the candidate."""
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
    """Slots that have accepted an assignment with these packages. Further fields of the slots are set as given."""
    accepted = accept(None, assignment(stable_version, on_trial), NODE)
    assert accepted is not None
    return accepted.model_copy(update=fields)


def attempt(name: str, n: int = 1, boot: str = BOOT, phase: str = "trying") -> Attempt:
    return Attempt.model_validate({"package": name, "boot_id": boot, "n": n, "phase": phase})


def serving(name: str, cohort: Any = "stable", number: int = 1, uid: str = "uid-1") -> Serving:
    return Serving(name, cohort, number, uid)


def seen(remembered: Slots, now_serving: Serving | None = None, **changes: Any) -> Observed:
    """An observed state. By default all packages are on the disk, the gateway has just answered, and no step has failed."""
    fields: dict[str, Any] = {
        "downloaded": frozenset({V1, V2, V3}),
        "withdrawn": False,
        "last_contact": 100.0,
        "now": 100.0,
        "candidate_ttl": 600.0,
        **changes,
    }
    return Observed(slots=remembered, serving=now_serving, **fields)
