"""The state of one assignment on a device, and the functions that change it. They are pure: they return new slots.

    assignments/<name>/slots.json      the slots; the file is replaced as a whole, so a power cut cannot leave a part of it
    assignments/<name>/running.json    the package that serves now; if it exists at a start, the agent crashed while it served the package
    assignments/<name>/crashes.json    how often the agent crashed

A slot names a package, and the blobs of packages are shared by all assignments. `active` is the package that serves or served last,
`lastGood` the one to go back to, `candidate` the one on trial. `attempt` is written before a package is loaded for the first time; after a
crash it says whether the package may be tried again.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bramble.contracts.assignment import Assignment
from bramble.contracts.base import Digest, ExtensibleDocument
from bramble.contracts.counters import Cohort

MAX_CRASHES = 2
"""A package is refused when this many of its attempts have ended in a crash or a reboot."""
MAX_UNJUDGED = 5
"""A package is given up when this many of its attempts have ended in a way that another package may have caused."""
MAX_REMEMBERED = 16
"""How many refusals, and how many Rollouts with their `seq`, are kept; the oldest is dropped first."""

Phase = Literal["trying", "serving"]
RefusalCause = Literal["fault", "silence", "reboot", "unjudged"]
"""Why a package is refused.

`fault`: the package failed on this device. `silence`: the gateway did not answer while the candidate served; once it is the stable version,
the device serves it again. `reboot`: the device rebooted during a trial or while the candidate served. A power cut is the likely cause, but
the package may have caused it too, so it is not tried again in this attempt of the Rollout. `unjudged`: `MAX_UNJUDGED` attempts ended in a
way that another package may have caused."""


class Attempt(ExtensibleDocument):
    """An attempt to load or serve a package that is not proven here. `n` counts attempts without a clean end, including this one."""

    package: Digest
    boot_id: str
    n: int
    phase: Phase = "trying"
    ended: bool = False
    """True if this attempt is over, and only the counts of it and of earlier ones are kept."""
    unjudged: int = 0
    """How many attempts ended in a way that another package may have caused. `n` does not count them."""


class Refusal(ExtensibleDocument):
    """A package that this device does not serve in this attempt of this Rollout. A new attempt, which a person requests, tries it again."""

    package: Digest
    rollout_uid: str
    attempt: int
    reason: str
    because: RefusalCause = "fault"

    @property
    def abandoned(self) -> bool:
        """True if an event outside the package, such as a reboot, ended its trial. Then the package did not fail."""
        return self.because != "fault"


class Slots(ExtensibleDocument):
    """The slots of one assignment on one node: the content of `slots.json`."""

    schema_: Literal["bramble.dev/slots/v1"] = Field("bramble.dev/slots/v1", alias="schema")
    accepted: Assignment
    """The newest accepted assignment, reduced to the part for this node."""
    board: str
    active: Digest | None = None
    cohort: Cohort = "stable"
    candidate: Digest | None = None
    last_good: Digest | None = None
    attempt: Attempt | None = None
    bad: tuple[Refusal, ...] = ()
    sequences: dict[str, int] = Field(default_factory=dict)
    """Rollout uid to the highest `seq` that was accepted from it, for the last `MAX_REMEMBERED` Rollouts."""

    @property
    def stable_target(self) -> str | None:
        """The package of the stable version for this board; None where there is none."""
        return self.accepted.stable.get(self.board)

    @property
    def candidate_target(self) -> str | None:
        """The package of the candidate for this board; None where this node is not one of the candidate's nodes."""
        if self.accepted.candidate is None or not self.accepted.candidate_nodes:
            return None
        return self.accepted.candidate.get(self.board)

    @property
    def assigns_something(self) -> bool:
        """True if the assignment has a package for this node."""
        return self.stable_target is not None or self.candidate_target is not None

    def refusal_of(self, package: str, cohort: Cohort) -> Refusal | None:
        """The refusal of this package in the present attempt; None where it may be served in this cohort."""
        now = (package, self.accepted.rollout_uid, self.accepted.attempt)
        found = next((each for each in self.bad if (each.package, each.rollout_uid, each.attempt) == now), None)
        return None if found is not None and found.because == "silence" and cohort == "stable" else found

    @property
    def fallback(self) -> str | None:
        """A package that has served here before, other than the one of the open attempt; None where there is none."""
        tried = self.attempt.package if self.attempt is not None else None
        return next((package for package in (self.active, self.last_good) if package is not None and package != tried), None)

    def required_packages(self) -> frozenset[str]:
        """All packages whose blobs must stay on the disk."""
        found = (self.active, self.candidate, self.last_good, self.stable_target, self.candidate_target)
        return frozenset(package for package in found if package is not None)


def reduce_to_node(assignment: Assignment, node: str, board: str) -> Assignment:
    """Return the part of an assignment that one node needs. The whole document may list thousands of nodes."""
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
    """Return the slots after a new assignment; None where it is not accepted.

    An assignment is accepted if it names this node and its `seq` is higher than any that was accepted from the same Rollout. The `seq` of
    earlier Rollouts is kept too, so that a gateway replica with a stale cache cannot bring back an old assignment.
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
    mine = reduce_to_node(assignment, node, board)
    if slots is None:
        return Slots(accepted=mine, board=board, sequences=sequences)
    return _end_obsolete_attempt(slots.model_copy(update={"accepted": mine, "board": board, "sequences": sequences}))


def _end_obsolete_attempt(slots: Slots) -> Slots:
    """End the open attempt if the assignment does not name its package any more, or if the package serves and is the stable version now."""
    attempt = slots.attempt
    wanted = {slots.candidate_target, slots.stable_target}
    over = attempt is not None and (
        attempt.package not in wanted or (attempt.phase == "serving" and attempt.package == slots.stable_target)
    )
    candidate = slots.candidate if slots.candidate in wanted else None
    return slots.model_copy(update={"attempt": None if over else attempt, "candidate": candidate})


def begin_attempt(slots: Slots, package: str, boot_id: str) -> Slots:
    """Open an attempt at a package. Call it before the package is loaded; the attempt counts as a crash unless it is closed."""
    earlier = slots.attempt if slots.attempt is not None and slots.attempt.package == package else None
    n, unjudged = (earlier.n, earlier.unjudged) if earlier is not None else (0, 0)
    candidate = package if package == slots.candidate_target else slots.candidate
    attempt = Attempt(package=package, boot_id=boot_id, n=n + 1, unjudged=unjudged)
    return slots.model_copy(update={"attempt": attempt, "candidate": candidate})


def record_serving(slots: Slots, package: str, cohort: Cohort, boot_id: str) -> Slots:
    """Record that a package serves from now on, after it passed its trial or because it has served before."""
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
    return _end_obsolete_attempt(slots.model_copy(update=served))


def refuse(slots: Slots, package: str, reason: str, because: RefusalCause = "fault") -> Slots:
    """Refuse a package in this attempt of this Rollout."""
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
    """Close the open attempt without a crash, because the agent ends on purpose or the attempt said nothing about the package."""
    attempt = slots.attempt
    if attempt is None or attempt.ended:
        return slots
    closed = attempt.model_copy(update={"n": attempt.n - 1, "ended": True})
    return slots.model_copy(update={"attempt": closed if closed.n or closed.unjudged else None})


def close_unjudged(slots: Slots, reason: str) -> Slots:
    """Close the open attempt, whose end another package may have caused. Give its package up after `MAX_UNJUDGED` such attempts."""
    attempt = slots.attempt
    if attempt is None or attempt.ended:
        return slots
    unjudged = attempt.unjudged + 1
    if unjudged >= MAX_UNJUDGED:
        return refuse(slots, attempt.package, f"{unjudged} trials of the package could not be judged, the last: {reason}", "unjudged")
    return close_attempt(slots.model_copy(update={"attempt": attempt.model_copy(update={"unjudged": unjudged})}))


def after_restart(slots: Slots, boot_id: str, *, attributed: bool = True) -> Slots:
    """Return the slots for a process that has just started.

    An attempt that is still open ended in a crash of the agent or in a reboot, which the boot id tells. After a reboot during a trial the
    package is refused at once, if there is another package to serve; otherwise it is refused after `MAX_CRASHES`. A crash that another
    model may have caused does not count as one of these: then `attributed` is False. During trials it is counted by itself, because the
    crash log knows the package only once it serves.
    """
    attempt = slots.attempt
    if attempt is None or attempt.ended:
        return slots
    if attempt.boot_id == boot_id and not attributed:
        if attempt.phase == "serving":
            return close_attempt(slots)
        return close_unjudged(slots, "the agent crashed, and another model may have been the cause")
    if attempt.phase == "trying" and attempt.boot_id != boot_id and slots.fallback is not None:
        return refuse(slots, attempt.package, "the device rebooted during the trial of the package", "reboot")
    if attempt.phase == "serving" and attempt.boot_id != boot_id and slots.fallback is None:
        return close_attempt(slots)  # a power cut must not leave a node without any model
    return refuse_if_exhausted(slots, "fault" if attempt.boot_id == boot_id else "reboot")


def refuse_if_exhausted(slots: Slots, because: RefusalCause = "fault") -> Slots:
    """Count the end of the open attempt as a crash or a reboot, and refuse its package after `MAX_CRASHES` of them."""
    attempt = slots.attempt
    if attempt is None:
        return slots
    if attempt.n >= MAX_CRASHES:
        when = "while the package was served" if attempt.phase == "serving" else "during the trial of the package"
        return refuse(slots, attempt.package, f"{attempt.n} crashes or reboots {when}", because)
    return slots.model_copy(update={"attempt": attempt.model_copy(update={"ended": True})})
