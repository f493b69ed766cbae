"""How a ledger is kept: the ConfigMap `evidence-…`, its size, and its lines."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterable, Iterator

from pydantic import RootModel

from bramble.api.labels import owner_labels
from bramble.api.objects import Metadata
from bramble.contracts.canonical import canonical_json
from bramble.evidence.nodes import NUMBERS
from bramble.kinds.rollout.ledger import ZERO, Ledger, NodeLosses, NodeRecord
from bramble.kinds.rollout.looks import in_half_octaves
from bramble.kube.resources import CONFIG_MAP, Manifest

KEY = "evidence.json.zz"
"""Key of the ConfigMap's `binaryData`: the canonical JSON of a `Ledger`, compressed by zlib. Its nodes follow in lines of their own."""

LINE = 100
"""Nodes of a line. While JSON is read or written, no other thread of the process runs, so the event loop must not wait for all nodes."""

LIMIT = 1000 * 1024
"""Bytes that the compressed ledger may have. A ConfigMap may have 1 MiB, which the API server counts without base64."""

FILLED = 0.9
"""How full a ledger is that has lost nodes. Its numbers become longer."""

LARGEST = 32 * 2**20
"""Bytes of JSON that are read at most. Somebody may have put anything into the ConfigMap."""


def ledger_name(rollout_uid: str) -> str:
    """Name of the ConfigMap of a Rollout's evidence, in the operator's namespace."""
    return f"evidence-{hashlib.sha256(rollout_uid.encode()).hexdigest()[:16]}"


def render(ledger: Ledger, metadata: Metadata, namespace: str) -> Manifest:
    """The ConfigMap. A ledger that does not fit loses the history of its nodes; what is expected of them is that of a node without any. One
    that does not fit without it either loses some of its nodes, of both cohorts alike, which are not counted until another attempt begins.
    """
    ledger = ledger.model_copy(update={"forgotten": False})
    if len(content := _compressed(ledger)) > LIMIT:
        ledger = _without_history(ledger)
        content = _compressed(ledger)
    while len(content) > LIMIT and (ledger.nodes or ledger.losses.nodes):
        ledger = _with_part(ledger, ledger.part * FILLED * LIMIT / len(content))
        content = _compressed(ledger)
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "namespace": namespace,
            "name": ledger_name(ledger.rollout_uid),
            "labels": owner_labels(metadata.key.kind, metadata.name, metadata.uid, metadata.namespace),
        },
        "binaryData": {KEY: base64.b64encode(content).decode()},
    }


def _compressed(ledger: Ledger) -> bytes:
    losses = ledger.losses
    rest = ledger.model_copy(update={"nodes": {}, "losses": losses.model_copy(update={"nodes": {}})})
    nodes = (canonical_json(_Line({name: ledger.nodes[name] for name in some})) for some in _parts(ledger.nodes))
    of_losses = (canonical_json(_LossLine({name: losses.nodes[name] for name in some})) for some in _parts(losses.nodes))
    return zlib.compress(b"\n".join((canonical_json(rest), *nodes, b"", *of_losses)))


def _parts(nodes: Iterable[str]) -> Iterator[list[str]]:
    names = sorted(nodes)
    return (names[begin : begin + LINE] for begin in range(0, len(names), LINE))


class _Line(RootModel[dict[str, NodeRecord]]):
    """Some nodes, by name."""


class _LossLine(RootModel[dict[str, NodeLosses]]):
    """How some nodes fell silent, by name. These lines stand after an empty one."""


def _without_history(ledger: Ledger) -> Ledger:
    none, newcomers = (ZERO,) * len(ledger.guards), tuple(guard.newcomer for guard in ledger.guards)
    fresh = {"history": none, "baseline": newcomers, "before": (0,) * len(ledger.guards)}
    nodes = {name: node.model_copy(update=fresh) for name, node in ledger.nodes.items()}
    forgotten = {"history": ZERO, "baseline": ledger.losses.guard.newcomer}
    of_losses = {name: node.model_copy(update=forgotten) for name, node in ledger.losses.nodes.items()}
    losses = ledger.losses.model_copy(update={"nodes": of_losses})
    return ledger.model_copy(update={"nodes": nodes, "losses": losses, "forgotten": True})


def _with_part(ledger: Ledger, part: float) -> Ledger:
    """The ledger with this part of its nodes. Losses of the open moment stay until that is over."""
    ledger = ledger.model_copy(update={"part": part})
    of_losses = {name: node for name, node in ledger.losses.nodes.items() if node.weight or ledger.is_counted(name)}
    nodes = {name: node for name, node in ledger.nodes.items() if ledger.is_counted(name)}
    return ledger.model_copy(update={"nodes": nodes, "losses": ledger.losses.model_copy(update={"nodes": of_losses})})


def read_ledger(manifest: Manifest) -> Ledger | None:
    """The ledger in a ConfigMap; None where nobody can read it, as after somebody edited it."""
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode((manifest.get("binaryData") or {}).get(KEY, "")), LARGEST)
        first, *lines = unpacked.split(b"\n")
        end = lines.index(b"") if b"" in lines else len(lines)
        ledger = Ledger.model_validate_json(first)
        found = [ledger.nodes, *(_Line.model_validate_json(line).root for line in lines[:end])]
        lost = [ledger.losses.nodes, *(_LossLine.model_validate_json(line).root for line in lines[end + 1 :])]
    except (ValueError, zlib.error):
        return None
    nodes = {name: node for some in found for name, node in some.items()}
    guards = len(ledger.guards)
    whole = all(
        {len(node.counted), len(node.sums), len(node.history), len(node.baseline)} == {guards}
        and {len(node.other) or guards, len(node.since) or guards, len(node.before) or guards} == {guards}
        for node in nodes.values()
    )
    states = [state for guard in (*ledger.guards, ledger.losses.guard) for state in (guard.ratio, guard.better)]
    if not whole or any(state and len(state) != NUMBERS for state in states):
        return None
    if any(len(node.own) not in (0, len(ledger.watches)) for node in nodes.values()):
        return None
    nodes = {name: node if node.other and node.since and node.before else _completed(node, guards) for name, node in nodes.items()}
    losses = ledger.losses.model_copy(update={"nodes": {name: node for some in lost for name, node in some.items()}})
    return ledger.model_copy(update={"nodes": nodes, "losses": losses})


def _completed(node: NodeRecord, guards: int) -> NodeRecord:
    """A node with what former operators did not write: the other cohort, since when it is in the present one, and what it had before."""
    none = (ZERO,) * guards
    before = node.before or tuple(map(in_half_octaves, node.history))
    return node.model_copy(update={"other": node.other or none, "since": node.since or none, "before": before})
