"""What a device remembers of one assignment: one document, replaced as a whole, so that no power cut leaves half of it.

    assignments/<name>/slots.json      this document: the pointer to everything else
    assignments/<name>/running.json    what is served now; found at a start, it means that the agent died while serving it
    assignments/<name>/crashes.json    how often that happened

Slots name packages; their blobs are shared by all assignments. `active` was verified and switched to, `lastGood` is what to go back to,
`candidate` is on trial. `attempt` is written before a package is loaded for the first time, and tells after a death whether to try again.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.assignment import Assignment
from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.counters import Cohort

MAX_DEATHS = 2
"""So many deaths while trying a package refuse it."""
MAX_REMEMBERED = 16

Phase = Literal["trying", "serving"]
Because = Literal["fault", "silence", "reboot"]
"""`fault`: the package failed here. `silence`: it was given up for want of contact; as the stable version it is welcome.
`reboot`: the board rebooted while it was tried: most likely the power, and not tried again, since it may have been the package."""


class Attempt(ExtensibleDocument):
    """A package that is not yet proven here. `n` counts loads begun that did not end cleanly, the present one included."""

    package: Digest
    boot_id: str
    n: int
    phase: Phase = "trying"


class Refusal(ExtensibleDocument):
    """A package that this device will not serve in this attempt of this Rollout; a new attempt is a person's word to try again."""

    package: Digest
    rollout_uid: str
    attempt: int
    reason: str
    because: Because = "fault"

    @property
    def abandoned(self) -> bool:
        """Whether chance ended its trial, which says little of the package."""
        return self.because != "fault"


class Slots(ExtensibleDocument):
    """Of one assignment on one node."""

    schema_: Literal["bramble.dev/slots/v1"] = Field("bramble.dev/slots/v1", alias="schema")
    accepted: Assignment
    """The newest accepted one, reduced to what concerns this node."""
    board: str
    active: Digest | None = None
    cohort: Cohort = "stable"
    candidate: Digest | None = None
    last_good: Digest | None = None
    attempt: Attempt | None = None
    bad: tuple[Refusal, ...] = ()
    sequences: dict[str, int] = Field(default_factory=dict)
    """Rollout uid to the highest `seq` accepted from it, for the last few Rollouts."""

    @property
    def stable_target(self) -> str | None:
        """The package that the fleet's stable version means for this board."""
        return self.accepted.stable.get(self.board)

    @property
    def candidate_target(self) -> str | None:
        """The package that this node should try, if it is one of the canaries."""
        if self.accepted.candidate is None or not self.accepted.candidate_nodes:
            return None
        return self.accepted.candidate.get(self.board)

    @property
    def names_anything(self) -> bool:
        """Whether the assignment means this node to serve something."""
        return self.stable_target is not None or self.candidate_target is not None

    def refusal_of(self, package: str, cohort: Cohort) -> Refusal | None:
        """Why this package is not served in the present attempt; None when nothing stands against it."""
        now = (package, self.accepted.rollout_uid, self.accepted.attempt)
        found = next((each for each in self.bad if (each.package, each.rollout_uid, each.attempt) == now), None)
        return None if found is not None and found.because == "silence" and cohort == "stable" else found

    @property
    def fallback(self) -> str | None:
        """A proven package beside the one on trial."""
        tried = self.attempt.package if self.attempt is not None else None
        return next((package for package in (self.active, self.last_good) if package is not None and package != tried), None)

    def named(self) -> frozenset[str]:
        """Every package whose blobs must stay on the disk."""
        found = (self.active, self.candidate, self.last_good, self.stable_target, self.candidate_target)
        return frozenset(package for package in found if package is not None)


def reduced(assignment: Assignment, node: str, board: str) -> Assignment:
    """What one node must remember of an assignment: a fleet's may list thousands of nodes."""
    candidate = assignment.candidate if node in assignment.candidate_nodes else None
    packages = {assignment.stable.get(board), (candidate or {}).get(board)} - {None}
    return assignment.model_copy(
        update={
            "nodes": {board: (node,)},
            "stable": {key: value for key, value in assignment.stable.items() if key == board},
            "candidate": None if candidate is None else {key: value for key, value in candidate.items() if key == board},
            "candidate_nodes": (node,) if candidate is not None else (),
            "packages": {package: blobs for package, blobs in assignment.packages.items() if package in packages},
        }
    )


def accept(slots: Slots | None, assignment: Assignment, node: str) -> Slots | None:
    """The slots after a new assignment; None where it is not newer than what was accepted from its Rollout, or not for this node.

    Returning to an earlier Rollout also needs a higher `seq`: a gateway replica whose cache is behind must not bring an old one back.
    """
    board = assignment.board_of(node)
    if board is None:
        return None
    uid, sequences = assignment.rollout_uid, dict(slots.sequences if slots else {})
    if assignment.seq <= sequences.get(uid, 0):
        return None
    sequences.pop(uid, None)
    sequences[uid] = assignment.seq
    while len(sequences) > MAX_REMEMBERED:
        sequences.pop(next(iter(sequences)))
    mine = reduced(assignment, node, board)
    if slots is None:
        return Slots(accepted=mine, board=board, sequences=sequences)
    return _kept_attempt(slots.model_copy(update={"accepted": mine, "board": board, "sequences": sequences}))


def _kept_attempt(slots: Slots) -> Slots:
    """An attempt at a package that is no longer asked for, or that is the stable one now and serves, is over."""
    attempt = slots.attempt
    wanted = {slots.candidate_target, slots.stable_target}
    over = attempt is not None and (
        attempt.package not in wanted or (attempt.phase == "serving" and attempt.package == slots.stable_target)
    )
    candidate = slots.candidate if slots.candidate in wanted else None
    return slots.model_copy(update={"attempt": None if over else attempt, "candidate": candidate})


def begin_attempt(slots: Slots, package: str, boot_id: str) -> Slots:
    """Before a package is loaded for the first time: one death more unless it ends cleanly."""
    earlier = slots.attempt.n if slots.attempt is not None and slots.attempt.package == package else 0
    candidate = package if package == slots.candidate_target else slots.candidate
    return slots.model_copy(update={"attempt": Attempt(package=package, boot_id=boot_id, n=earlier + 1), "candidate": candidate})


def record_serving(slots: Slots, package: str, cohort: Cohort, boot_id: str) -> Slots:
    """A package passed its trial, or was proven before, and is switched to."""
    if cohort == "candidate":
        attempt = slots.attempt if slots.attempt is not None and slots.attempt.package == package else None
        n = attempt.n if attempt is not None else 1
        last_good = slots.active if slots.cohort == "stable" and slots.active not in {None, package} else slots.last_good
        return slots.model_copy(
            update={
                "active": package,
                "cohort": cohort,
                "candidate": package,
                "last_good": last_good,
                "attempt": Attempt(package=package, boot_id=boot_id, n=n, phase="serving"),
            }
        )
    previous = slots.active if slots.cohort == "stable" and slots.active not in {None, package} else slots.last_good
    attempt = slots.attempt if slots.attempt is not None and slots.attempt.package != package else None
    candidate = slots.candidate if slots.candidate != package else None
    served = {"active": package, "cohort": cohort, "last_good": previous or package, "attempt": attempt, "candidate": candidate}
    return _kept_attempt(slots.model_copy(update=served))


def refuse(slots: Slots, package: str, reason: str, because: Because = "fault") -> Slots:
    """Remember a package as bad for this attempt of this Rollout."""
    refusal = Refusal(
        package=package,
        rollout_uid=slots.accepted.rollout_uid,
        attempt=slots.accepted.attempt,
        reason=reason[:300],
        because=because,
    )
    others = tuple(each for each in slots.bad if each.package != package)
    attempt = None if slots.attempt is not None and slots.attempt.package == package else slots.attempt
    candidate = None if slots.candidate == package else slots.candidate
    return slots.model_copy(update={"bad": (*others, refusal)[-MAX_REMEMBERED:], "attempt": attempt, "candidate": candidate})


def close_attempt(slots: Slots) -> Slots:
    """The agent leaves because it was asked to: no death."""
    if slots.attempt is None:
        return slots
    n = slots.attempt.n - 1
    return slots.model_copy(update={"attempt": slots.attempt.model_copy(update={"n": n}) if n else None})


def after_death(slots: Slots, boot_id: str) -> Slots:
    """At a start: an attempt that is still open ended in a death of the agent, or in a reboot. Too much of it refuses the package."""
    attempt = slots.attempt
    if attempt is None:
        return slots
    if attempt.phase == "trying" and attempt.boot_id != boot_id and slots.fallback is not None:
        return refuse(slots, attempt.package, "the board rebooted while it was tried", "reboot")
    if attempt.phase == "serving" and attempt.boot_id != boot_id and slots.fallback is None:
        return close_attempt(slots)  # a power cut must not leave a node without any model
    return refuse_if_exhausted(slots, "fault" if attempt.boot_id == boot_id else "reboot")


def refuse_if_exhausted(slots: Slots, because: Because = "fault") -> Slots:
    """Refuse the package of the open attempt where it has cost too many lives."""
    attempt = slots.attempt
    if attempt is not None and attempt.n >= MAX_DEATHS:
        where = "while it served" if attempt.phase == "serving" else "while it was tried"
        return refuse(slots, attempt.package, f"{attempt.n} deaths {where}", because)
    return slots
