"""What a device does next for one assignment. Pure: no clock, no disk, no network.

The first rule with an opinion decides. What is served goes on being served while any step but `Withdraw` is carried out.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.contracts.counters import Cohort
from bramble_workloads.edge.slots.slots import Slots


@dataclass(frozen=True)
class Serving:
    """What answers requests now."""

    package: str
    cohort: Cohort
    attempt: int
    rollout_uid: str


@dataclass(frozen=True)
class Observed:
    """All that a decision may depend on. Times are seconds on the monotonic clock."""

    slots: Slots
    serving: Serving | None
    present: frozenset[str]
    """Packages whose blobs are all on the disk."""
    withdrawn: bool
    """The gateway has stopped naming this assignment."""
    contact: float | None
    """When the gateway was last heard of by this process; None: never."""
    now: float
    ttl: float
    failed: str | None = None
    """The package that the last step failed for."""
    retry_at: float = 0.0
    """Before this moment it is not tried again."""

    def resting(self, package: str) -> bool:
        """Whether this package failed too recently to be tried again."""
        return package == self.failed and self.now < self.retry_at


@dataclass(frozen=True)
class Withdraw:
    """Serve nothing and forget the slots."""


@dataclass(frozen=True)
class Unload:
    """Serve nothing: the assignment names nothing for this node."""


@dataclass(frozen=True)
class Serve:
    """Load a package that is on the disk and was proven before, and switch to it."""

    package: str
    cohort: Cohort


@dataclass(frozen=True)
class Relabel:
    """Go on serving the same package as another cohort or attempt."""

    cohort: Cohort


@dataclass(frozen=True)
class Download:
    """Fetch what a package lacks on this disk."""

    package: str
    cohort: Cohort


@dataclass(frozen=True)
class Try:
    """Try a package in the child process, then switch to it."""

    package: str
    cohort: Cohort


@dataclass(frozen=True)
class GiveUp:
    """Remember the candidate as bad for want of contact."""

    package: str
    silence: float


@dataclass(frozen=True)
class Wait:
    """Nothing to do before `until`, or before something changes."""

    until: float | None


Step = Withdraw | Unload | Serve | Relabel | Download | Try | GiveUp | Wait


def decide(seen: Observed) -> Step:
    """The next step."""
    if seen.withdrawn:
        return Withdraw()
    if seen.serving is None and (proven := _proven(seen)) is not None:
        return proven
    target = _target(seen)
    if target is None:
        return _without_target(seen)
    package, cohort = target
    if seen.serving is not None and seen.serving.package == package:
        return _settled(seen, package, cohort)
    if seen.resting(package):
        return Wait(seen.retry_at)
    if package not in seen.present:
        return Download(package, cohort)
    if package in {seen.slots.active, seen.slots.last_good} and cohort == "stable":
        return Serve(package, cohort)
    return Try(package, cohort)


def _proven(seen: Observed) -> Serve | None:
    """After a start, before any network: what was proven here and is on the disk, the newest first.

    A candidate is not served again before the gateway was heard of, unless there is nothing else.
    """
    slots = seen.slots
    candidate = slots.active if slots.cohort == "candidate" else None
    choices: list[tuple[str | None, Cohort]] = [(slots.stable_target, "stable"), (slots.active, "stable"), (slots.last_good, "stable")]
    for package, cohort in choices:
        if package is None or package not in seen.present or package not in {slots.active, slots.last_good}:
            continue
        on_trial = package == candidate and package not in {slots.stable_target, slots.last_good}
        if not on_trial and not seen.resting(package) and slots.refusal_of(package, cohort) is None:
            return Serve(package, cohort)
    if candidate is None or candidate not in seen.present or seen.resting(candidate):
        return None
    if slots.refusal_of(candidate, "candidate") is not None or not slots.names_anything:
        return None
    return Serve(candidate, "candidate" if candidate == slots.candidate_target else "stable")


def _target(seen: Observed) -> tuple[str, Cohort] | None:
    """What this node should serve: the candidate where it may, else the stable version."""
    slots = seen.slots
    stable, candidate = slots.stable_target, slots.candidate_target
    stable_usable = stable is not None and slots.refusal_of(stable, "stable") is None
    if candidate is not None and slots.refusal_of(candidate, "candidate") is None:
        serving_it = seen.serving is not None and seen.serving.package == candidate
        verified_way_back = stable is None or not stable_usable or stable in {slots.active, slots.last_good}
        if serving_it or (seen.contact is not None and verified_way_back):
            return candidate, "candidate"
    if stable is not None and stable_usable:
        return stable, "stable"
    return None


def _without_target(seen: Observed) -> Step:
    """The assignment names nothing that this node may serve: keep what runs if something is meant for it, else stop."""
    if seen.serving is None:
        return Wait(seen.retry_at if seen.retry_at > seen.now else None)
    if not seen.slots.names_anything:
        return Unload()
    good = seen.slots.last_good
    if seen.serving.package == seen.slots.candidate_target and good not in {None, seen.serving.package} and good in seen.present:
        return Serve(good, "stable")  # refused while it serves, and no stable version is named: what was proven takes its place
    return _relabelled(seen, seen.serving.cohort) or Wait(None)


def _settled(seen: Observed, package: str, cohort: Cohort) -> Step:
    """The right package is served: as whom, and for how long without contact."""
    slots = seen.slots
    relabelled = _relabelled(seen, cohort)
    if relabelled is not None:
        return relabelled
    way_back = slots.last_good is not None and slots.last_good != package
    if cohort == "stable" or not way_back:
        return Wait(None)
    heard = seen.contact if seen.contact is not None else seen.now
    if seen.now - heard >= seen.ttl:
        return GiveUp(package, seen.now - heard)
    return Wait(heard + seen.ttl)


def _relabelled(seen: Observed, cohort: Cohort) -> Relabel | None:
    accepted = seen.slots.accepted
    if seen.serving is None or (seen.serving.cohort, seen.serving.attempt, seen.serving.rollout_uid) == (
        cohort,
        accepted.attempt,
        accepted.rollout_uid,
    ):
        return None
    return Relabel(cohort)
