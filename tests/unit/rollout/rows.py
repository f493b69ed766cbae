"""One pass of a Rollout as a test row: a fleet of four, version 1.0.0 stable on it unless the row says otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bramble.api.conditions import find, rfc3339
from bramble.api.labels import FINALIZER, REQUEST
from bramble.api.objects import Metadata, Object, moment
from bramble.api.rollout import Release, Spec, Status, Undone
from bramble.contracts.assignment import Assignment, Blob, PackageBlobs
from bramble.contracts.counters import BUCKETS, PREDICT, Cohort, Counted, Counters, Histogram
from bramble.contracts.report import (
    CandidateState,
    Health,
    Report,
    Running,
    SeenReport,
)
from bramble.kinds.blockers import Blocker
from bramble.kinds.plan import Plan
from bramble.kinds.requests import Refused
from bramble.kinds.rollout.counting import advance
from bramble.kinds.rollout.elapsed import measured
from bramble.kinds.rollout.ledger import Ledger
from bramble.kinds.rollout.ledger_store import render
from bramble.kinds.rollout.loss_counting import losses_after
from bramble.kinds.rollout.losses import Silences
from bramble.kinds.rollout.nodes import FleetSeen
from bramble.kinds.rollout.observed import Observed, StoredLedger, Written
from bramble.kinds.rollout.steps import begun as as_begun
from bramble.kinds.sources import Devices, Interruption
from bramble.kube.resources import Key

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UID = "uid-of-rollout"
NODES = ("a", "b", "c", "d")
STEPS: list[dict[str, Any]] = [{"nodes": 1, "bake": "10s"}, {"nodes": "50%", "bake": "10s"}, {"nodes": "100%", "bake": "10s"}]
PAUSE: list[dict[str, Any]] = [{"pause": {}}, {"nodes": "100%", "bake": "1s"}]
DONE = timedelta(seconds=11)
"""After the bake."""
UPTIME = timedelta(days=1)
"""For how long every agent has run."""
LONG_AGO = timedelta(hours=2)
"""After the deadline."""
GUARDRAILS = [{"metric": "errors", "maxRatio": "1.5", "ceiling": "0.05", "minEvents": 100}]


def digest(version: str) -> str:
    """Of a version's package on board rpi5."""
    return f"sha256:{version.replace('.', '').zfill(64)}"


def release(version: str, *, uid: str = "", **packages: str) -> Release:
    ref = f"digits-{version.replace('.', '-')}"
    return Release(ref=ref, uid=uid or f"uid-of-{version}", model="digits", version=version, packages=packages or {"rpi5": digest(version)})


V1, V2, V3 = release("1.0.0"), release("2.0.0"), release("3.0.0")
FIRST: dict[str, Any] = {"stable": None}
"""No version was ever stable."""


AWAY = Blocker("FleetMissing", "spec.fleetRef.name: there is no Fleet 'demo'; make it, or name another")
NO_EVIDENCE = Blocker("NoEvidence", "ModelVersion 'digits-2-0-0' was never measured on board rpi4")


def undone(of: Release = V2, attempt: int = 2) -> Undone:
    return Undone(ref=of.ref, uid=of.uid, attempt=attempt, reason="GuardrailFailed", message="errors: too many", at="2026-11-21T11:00:00Z")


def ago(since: timedelta) -> str:
    """The time so long before now, as the status holds it."""
    return rfc3339(NOW - since)


def out(**changes: Any) -> dict[str, Any]:
    """Status while 2.0.0 is tried in the first step, and waits for its nodes since a minute ago."""
    return {"attempt": 2, "seq": 5, "candidate": V2, "seed": "s", "waiting_since": ago(timedelta(minutes=1)), **changes}


def baking(since: timedelta = timedelta(seconds=5), **changes: Any) -> dict[str, Any]:
    return out(step_started_at=ago(since), **changes)


def device(
    node: str,
    version: Release | None = V1,
    *,
    attempt: int = 1,
    seq: int = 4,
    age: float = 1.0,
    state: CandidateState | None = None,
    counts: Iterable[Counters] = (),
    free: int | None = None,
    last_good: Release | None = None,
    served: timedelta | None = None,
    bad: Release | None = None,
    uid: str = UID,
    message: str = "",
) -> SeenReport:
    """What a device last said: what it serves, of which attempt; `served`: for how long, where the agent says so."""
    running = Running(
        fleet="demo",
        namespace="ads",
        model="digits",
        rollout_uid=uid,
        attempt=attempt,
        seq=seq,
        active=version.packages["rpi5"] if version is not None else None,
        candidate=state,
        last_good=last_good.packages["rpi5"] if last_good is not None else None,
        serving_since_ms=None if served is None else round((UPTIME - served).total_seconds() * 1000),
        bad=(bad.packages["rpi5"],) if bad is not None else (),
        message=message,
    )
    report = Report(
        node=node,
        fleet="demo",
        board="rpi5",
        boot_id="b",
        instance="i",
        uptime_ms=round(UPTIME.total_seconds() * 1000),
        sequence=1,
        running=(running,),
        counters=tuple(counts),
        health=Health(free_bytes=free),
    )
    return SeenReport(age_seconds=age, report=report)


def counts(version: Release, cohort: Cohort, *, requests: int = 200, errors: int = 0, attempt: int = 2) -> Counters:
    buckets = [0] * BUCKETS
    buckets[20] = requests
    return Counters(
        namespace="ads",
        model="digits",
        package=version.packages["rpi5"],
        cohort=cohort,
        attempt=attempt,
        counts={"requests": requests, "errors": errors},
        histograms={PREDICT: Histogram(buckets=tuple(buckets))},
    )


def canaries(
    *nodes: str, of: Release = V2, errors: int = 0, requests: int = 200, silent: Iterable[str] = (), others_errors: int = 0
) -> dict[str, SeenReport]:
    """A fleet whose named nodes serve the candidate of attempt 2, all of them with traffic; the silent ones have been so for a minute."""
    away = set(silent)
    found = {}
    for node in NODES:
        mine = node in nodes
        version, cohort, bad = (of, "candidate", errors) if mine else (V1, "stable", others_errors)
        line = counts(version, cohort, requests=requests, errors=bad)  # type: ignore[arg-type]
        found[node] = device(node, version, attempt=2, seq=5, age=60.0 if node in away else 1.0, counts=[line])
    return found


def orders(*, stable: Release | None = V1, candidate: Release | None = None, on: Iterable[str] = (), **changes: Any) -> Assignment:
    """The assignment that is written; `on`: the nodes that should have the candidate."""
    named = [each for each in (stable, candidate) if each is not None]
    values: dict[str, Any] = {
        "fleet": "demo",
        "namespace": "ads",
        "model": "digits",
        "rollout_uid": UID,
        "attempt": 1,
        "seq": 4,
        "nodes": {"rpi5": NODES},
        "stable": stable.packages if stable is not None else {},
        "candidate": candidate.packages if candidate is not None else None,
        "candidate_nodes": tuple(on),
        "packages": {package: blobs(package) for each in named for package in each.packages.values()},
    }
    return Assignment(**{**values, **changes})


def blobs(package: str, size: int = 1000) -> PackageBlobs:
    return PackageBlobs(blobs=(Blob(sha256=package, bytes=size),))


def tried(*nodes: str, **changes: Any) -> Assignment:
    """The assignment while 2.0.0 is tried on these nodes."""
    return orders(candidate=V2, on=nodes, **{"attempt": 2, "seq": 5, **changes})


def observed(
    *,
    ref: Release = V1,
    wanted: Release | None = None,
    blocker: Blocker | None = None,
    fleet_blocker: Blocker | None = None,
    status: Mapping[str, Any] | None = None,
    reports: Mapping[str, SeenReport] | None = None,
    written: Assignment | None = None,
    proves_silence: bool = True,
    interruptions: Mapping[str, Interruption] | None = None,
    request: str = "",
    deleted: datetime | None = None,
    finalizers: tuple[str, ...] = (FINALIZER,),
    steps: list[dict[str, Any]] | None = None,
    analysis: Mapping[str, Any] | None = None,
    rival: str | None = None,
    nodes: Mapping[str, str] | None = None,
    target: Release | Refused | None = None,
    ledger: Ledger | None = None,
    history: int = 100_000,
) -> Observed:
    """A Rollout that wants `ref`; nothing is written by default, and every node serves 1.0.0 of attempt 1. The present step of a candidate
    began as it is in the spec, unless `status` says how.

    The ledger began an hour ago, before anything of the attempt was counted, unless another one is given. Each node answered `history`
    requests before, and one in a thousand failed.
    """
    metadata = Metadata(
        key=Key("Rollout", "ads", "digits"),
        uid=UID,
        generation=1,
        resource_version="9",
        created=NOW - timedelta(days=1),
        deleted=deleted,
        annotations={REQUEST: request} if request else {},
        finalizers=finalizers,
    )
    spec = Spec.model_validate(
        {
            "fleetRef": {"name": "demo"},
            "modelVersionRef": {"name": ref.ref},
            "strategy": {"canary": {"steps": steps or STEPS}},
            "analysis": {"guardrails": GUARDRAILS, "deadline": "1h", **(analysis or {})},
        }
    )
    known = Status(**{"attempt": 1, "seq": 4, "stable": V1, **(status or {})})
    if known.candidate is not None and "begun" not in (status or {}) and spec.strategy.canary is not None:
        all_steps = spec.strategy.canary.steps
        known = known.model_copy(update={"begun": as_begun(all_steps, min(known.step, len(all_steps) - 1))})
    boards = nodes if nodes is not None else dict.fromkeys(NODES, "rpi5")
    versions = [V1, V2, V3, *([wanted] if wanted else [])]
    seen = Observed(
        rollout=Object(metadata, spec, known),
        fleet=FleetSeen("demo", boards, dict.fromkeys(boards, ()), fleet_blocker),
        wanted=None if blocker is not None else wanted or ref,
        blocker=blocker,
        devices=Devices(reports if reports is not None else {node: device(node) for node in NODES}, proves_silence, interruptions or {}),
        written=Written("uid-of-config-map", "8", written) if written is not None else None,
        blobs={package: blobs(package) for each in versions for package in each.packages.values()},
        rival=rival,
        namespace="bramble-system",
        target=target,
        now=NOW,
    )
    seen = replace(seen, elapsed={event: seconds_since(event) for event in measured(seen.status, deleted)})
    return replace(seen, stored_ledger=StoredLedger("uid-of-ledger", render(ledger or begun(seen, history), metadata, seen.namespace)))


def seconds_since(event: str) -> float:
    """As if one leader with a right clock had led since the event."""
    return (NOW - moment(event.rsplit("/", 1)[-1])).total_seconds()


def begun(seen: Observed, history: int) -> Ledger:
    """The ledger of this attempt when nothing had been counted in it, but that every node had been watched for a minute."""
    served = Counted(counts={"requests": history, "errors": history // 1000})
    reading = seen.counts.reading(UID, seen.index, seen.compared)
    reading = replace(reading, lines={}, silences=Silences(), served=lambda: dict.fromkeys(seen.fleet.nodes, served))
    ledger = advance(None, reading, NOW - timedelta(hours=1))
    members = reading.candidates | frozenset(seen.status.departed)
    watched: dict[str, Cohort | None] = {node: "candidate" if node in members else "stable" for node in seen.fleet.nodes.keys() | members}
    at = int(NOW.timestamp())
    losses = losses_after(ledger.model_copy(update={"at": at - 60}), replace(reading, silences=Silences(members, watched)), at)
    return ledger.model_copy(update={"at": at, "losses": losses})


def ready(plan: Plan | None) -> str:
    """The reason of Ready, and of nothing when the policy has no opinion."""
    if plan is None or plan.status is None:
        return ""
    found = find(plan.status["conditions"], "Ready")
    return str(found["reason"]) if found is not None else ""


def conditions(plan: Plan | None) -> dict[str, str]:
    """Every condition's status and reason, by type; empty when the policy has no opinion."""
    if plan is None or plan.status is None:
        return {}
    return {condition["type"]: f"{condition['status']}/{condition['reason']}" for condition in plan.status.get("conditions", ())}


def kept(seen: Observed, plan: Plan | None) -> dict[str, Any]:
    """The memory that a plan changes: wire name to the new value (None: forgotten)."""
    if plan is None or plan.status is None:
        return {}
    former = seen.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    present = plan.status
    names = Status.MEMORY
    empty: tuple[Any, ...] = ("", {}, [], None)
    return {
        name: present.get(name)
        for name in sorted(names)
        if present.get(name) != former.get(name) and not (present.get(name) in empty and former.get(name) in empty)
    }


def items(plan: Plan | None) -> list[str]:
    return [type(item).__name__ for item in plan.items] if plan is not None else []


def interruption(before: SeenReport, *, silent_since: float = 300.0) -> Interruption:
    """The node of this report was silent after it, and is back since 100 seconds."""
    return Interruption(before.report, silent_since, 100.0)


def with_candidate(reports: dict[str, Any], *, status: dict[str, Any] | None = None, on: tuple[str, ...] = ("a",), **more: Any) -> Observed:
    return observed(ref=V2, status=status or baking(), reports=reports, written=tried(*on), **more)
