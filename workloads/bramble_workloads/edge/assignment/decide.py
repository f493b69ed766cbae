"""Decides what the agent does next for one assignment. The functions are pure: they use no clock, disk or network.

The package that serves goes on serving while a step is carried out, except during `Withdraw` and `Unload`.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.contracts.counters import Cohort
from bramble_workloads.edge.slots.slots import Slots


@dataclass(frozen=True)
class Serving:
    """The package that answers requests now, and the labels under which its requests are counted."""

    package: str
    cohort: Cohort
    attempt: int
    rollout_uid: str


@dataclass(frozen=True)
class Observed:
    """The state that a decision depends on. Times are in seconds on the monotonic clock."""

    slots: Slots
    serving: Serving | None
    downloaded: frozenset[str]
    """The packages whose blobs are all on the disk."""
    withdrawn: bool
    """True if the gateway does not name this assignment any more."""
    last_contact: float | None
    """When the gateway last answered; None if it has not answered this process yet."""
    now: float
    candidate_ttl: float
    """A candidate is given up after this many seconds without an answer of the gateway."""
    failed_package: str | None = None
    """The package whose last step failed."""
    retry_at: float = 0.0
    """When the failed package may be tried again."""

    def is_backing_off(self, package: str) -> bool:
        """True if this package failed recently and must not be tried again yet."""
        return package == self.failed_package and self.now < self.retry_at


@dataclass(frozen=True)
class Withdraw:
    """Stop serving and delete the assignment's files."""


@dataclass(frozen=True)
class Unload:
    """Stop serving, because the assignment has no package for this node."""


@dataclass(frozen=True)
class Serve:
    """Load a package that is on the disk and has served here before, and switch to it. It needs no trial."""

    package: str
    cohort: Cohort


@dataclass(frozen=True)
class Relabel:
    """Go on serving the same package, and count its requests under another cohort, attempt or Rollout."""

    cohort: Cohort


@dataclass(frozen=True)
class Download:
    """Download the blobs of a package that are not on the disk."""

    package: str
    cohort: Cohort


@dataclass(frozen=True)
class Try:
    """Try a package in a child process; if it passes, load it and switch to it."""

    package: str
    cohort: Cohort


@dataclass(frozen=True)
class GiveUp:
    """Refuse the candidate, because the gateway has not answered for too long."""

    package: str
    silence_seconds: float


@dataclass(frozen=True)
class Wait:
    """Do nothing until the time `until`, or until the state changes."""

    until: float | None


Step = Withdraw | Unload | Serve | Relabel | Download | Try | GiveUp | Wait


def decide(seen: Observed) -> Step:
    """Return the next step."""
    if seen.withdrawn:
        return Withdraw()
    if seen.serving is None and (restored := _restore(seen)) is not None:
        return restored
    target = _target(seen)
    if target is None:
        return _without_target(seen)
    package, cohort = target
    if seen.serving is not None and seen.serving.package == package:
        return _keep_serving(seen, package, cohort)
    if seen.is_backing_off(package):
        return Wait(seen.retry_at)
    if package not in seen.downloaded:
        return Download(package, cohort)
    if package in {seen.slots.active, seen.slots.last_good} and cohort == "stable":
        return Serve(package, cohort)
    return Try(package, cohort)


def _restore(seen: Observed) -> Serve | None:
    """Serve a package that has served here before and is on the disk. This needs no network, so it works at a start.

    The stable version comes first, then the active package, then the last good one. A candidate is served only if there is none of these:
    otherwise it waits for the gateway, which may have undone it meanwhile.
    """
    slots = seen.slots
    candidate = slots.active if slots.cohort == "candidate" else None
    choices: list[tuple[str | None, Cohort]] = [(slots.stable_target, "stable"), (slots.active, "stable"), (slots.last_good, "stable")]
    for package, cohort in choices:
        if package is None or package not in seen.downloaded or package not in {slots.active, slots.last_good}:
            continue
        on_trial = package == candidate and package not in {slots.stable_target, slots.last_good}
        if not on_trial and not seen.is_backing_off(package) and slots.refusal_of(package, cohort) is None:
            return Serve(package, cohort)
    if candidate is None or candidate not in seen.downloaded or seen.is_backing_off(candidate):
        return None
    if slots.refusal_of(candidate, "candidate") is not None or not slots.assigns_something:
        return None
    return Serve(candidate, "candidate" if candidate == slots.candidate_target else "stable")


def _target(seen: Observed) -> tuple[str, Cohort] | None:
    """The package and cohort that this node should serve: the candidate if this node may serve it, else the stable version.

    A node takes a candidate only if the gateway has answered this process. If the assignment has a usable stable version, that version must
    have served here before, so that the node can go back to it. Returns None where no package of the assignment may serve here.
    """
    slots = seen.slots
    stable, candidate = slots.stable_target, slots.candidate_target
    stable_usable = stable is not None and slots.refusal_of(stable, "stable") is None
    if candidate is not None and slots.refusal_of(candidate, "candidate") is None:
        serving_it = seen.serving is not None and seen.serving.package == candidate
        can_go_back = stable is None or not stable_usable or stable in {slots.active, slots.last_good}
        if serving_it or (seen.last_contact is not None and can_go_back):
            return candidate, "candidate"
    if stable is not None and stable_usable:
        return stable, "stable"
    return None


def _without_target(seen: Observed) -> Step:
    """The step when no package of the assignment may serve on this node.

    If the assignment has a package for this node, all of them are refused here, and the package that serves goes on. Else nothing is
    served.
    """
    if seen.serving is None:
        return Wait(seen.retry_at if seen.retry_at > seen.now else None)
    if not seen.slots.assigns_something:
        return Unload()
    good = seen.slots.last_good
    if seen.serving.package == seen.slots.candidate_target and good not in {None, seen.serving.package} and good in seen.downloaded:
        return Serve(good, "stable")  # the candidate was refused while it served, and the assignment has no stable version
    return _relabel(seen, seen.serving.cohort) or Wait(None)


def _keep_serving(seen: Observed, package: str, cohort: Cohort) -> Step:
    """The step when the right package serves: correct its labels, or give up a candidate when the gateway is silent for too long.

    A candidate is not given up if there is no other package to go back to.
    """
    slots = seen.slots
    relabel = _relabel(seen, cohort)
    if relabel is not None:
        return relabel
    can_go_back = slots.last_good is not None and slots.last_good != package
    if cohort == "stable" or not can_go_back:
        return Wait(None)
    last_contact = seen.last_contact if seen.last_contact is not None else seen.now
    if seen.now - last_contact >= seen.candidate_ttl:
        return GiveUp(package, seen.now - last_contact)
    return Wait(last_contact + seen.candidate_ttl)


def _relabel(seen: Observed, cohort: Cohort) -> Relabel | None:
    """A `Relabel` if cohort, attempt or Rollout of the serving package differ from those of the assignment."""
    accepted = seen.slots.accepted
    if seen.serving is None or (seen.serving.cohort, seen.serving.attempt, seen.serving.rollout_uid) == (
        cohort,
        accepted.attempt,
        accepted.rollout_uid,
    ):
        return None
    return Relabel(cohort)
