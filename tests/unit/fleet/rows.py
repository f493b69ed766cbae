"""Fleets, nodes and reports as test rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bramble.api.fleet import KIND
from bramble.api.labels import AGENT, FINALIZER
from bramble.api.objects import Invalid, parse
from bramble.contracts.report import BoardFacts, Report, SeenReport
from bramble.kinds.fleet.folders import folder_of
from bramble.kinds.fleet.gather import has_agent
from bramble.kinds.fleet.membership import Claim, Fleet, membership
from bramble.kinds.fleet.node import PREPARED, Node
from bramble.kinds.fleet.observed import Observed
from bramble.kinds.sources import Devices
from bramble.settings import Settings

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(
    namespace="bramble-system",
    images_train="bramble/train@sha256:" + "1" * 64,
    images_convert="bramble/convert@sha256:" + "2" * 64,
    images_edge="bramble/edge@sha256:" + "3" * 64,
    gateway_url="https://bramble-gateway.bramble-system.svc:8443",
)
SPEC: dict[str, Any] = {
    "nodeSelector": {"bramble.dev/fleet": "living-rooms"},
    "stratifyBy": ["topology.kubernetes.io/zone"],
    "boards": [
        {"name": "rpi5", "selector": {"bramble.dev/board": "rpi5"}, "resources": {"limits": {"memory": "512Mi"}}},
        {"name": "rpi4", "selector": {"bramble.dev/board": "rpi4"}},
    ],
}


def fleet_manifest(name: str = "living-rooms", created: str = "2026-11-01T00:00:00Z", **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Fleet",
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": "7",
            "generation": 1,
            "creationTimestamp": created,
            "finalizers": [FINALIZER],
        },
        "spec": {**SPEC, **spec},
    }


def fleet(name: str = "living-rooms", created: str = "2026-11-01T00:00:00Z", **spec: Any) -> Fleet:
    parsed = parse(KIND, fleet_manifest(name, created, **spec))
    assert not isinstance(parsed, Invalid), parsed
    return parsed


def claim(of: Fleet) -> Claim:
    return Claim(of.metadata, of.spec.node_selector)


def node(
    name: str, board: str | None = "rpi5", *, ready: bool = True, uid: str = "", labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    own = {"bramble.dev/fleet": "living-rooms", **({"bramble.dev/board": board} if board else {}), **(labels or {})}
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": uid or f"uid-of-{name}", "resourceVersion": "3", "labels": own, "annotations": {}},
        "status": {"nodeInfo": {"machineID": "m"}, "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
    }


def observed(
    nodes: Iterable[dict[str, Any]] = (),
    *,
    others: Iterable[Fleet] = (),
    of: Fleet | None = None,
    ages: Mapping[str, float] | None = None,
    **more: Any,
) -> Observed:
    """A fleet over these nodes; `ages` are of the reports heard."""
    own, listed = of or fleet(), tuple(Node.of(item) for item in nodes)
    values: dict[str, Any] = {
        "fleet": own,
        "membership": membership(own, listed, map(claim, (own, *others))),
        "labelled": tuple(node for node in listed if has_agent(node, own.metadata.name)),
        "devices": devices(ages or {}),
        "gateway_ca": "-----BEGIN CERTIFICATE-----",
        "settings": SETTINGS,
    }
    return Observed(**{**values, **more})


def devices(ages: Mapping[str, float], *, proves_silence: bool = True) -> Devices:
    return Devices({name: SeenReport(age_seconds=age, report=report(name)) for name, age in ages.items()}, proves_silence)


def report(name: str) -> Report:
    facts = BoardFacts(machine="aarch64", cpu="Raspberry Pi 5", cores=4, memory_bytes=8 * 1024**3, page_size=16384, kernel="6.12")
    return Report(node=name, fleet="living-rooms", board="rpi5", boot_id="b", instance="i", uptime_ms=1, sequence=1, facts=facts)


def prepared(item: dict[str, Any], board: str = "rpi5", *, seen: Observed | None = None, agent: bool = True) -> dict[str, Any]:
    """The same node after its folder was prepared, and with its agent's label."""
    whole = seen or observed([item])
    member = next(each for each in whole.membership.members if each.name == item["metadata"]["name"])
    annotations = {PREPARED: folder_of(whole, member).mark}
    labels = {**item["metadata"]["labels"], **({AGENT: f"living-rooms.{board}"} if agent else {})}
    return {**item, "metadata": {**item["metadata"], "annotations": annotations, "labels": labels}}


def with_image(seen: Observed, image: str) -> Observed:
    return replace(seen, settings=replace(seen.settings, images_edge=image))
