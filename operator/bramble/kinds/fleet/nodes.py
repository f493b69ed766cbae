"""The labels and the annotation that the operator keeps on a fleet's nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bramble.api.labels import AGENT, PREFIX, agent_label
from bramble.contracts.report import BoardFacts
from bramble.kinds.fleet.folders import PREPARED, Folder
from bramble.kinds.fleet.membership import Member, labels_of
from bramble.kinds.fleet.observed import Observed
from bramble.kinds.plan import PatchFields
from bramble.kube.resources import Manifest, key_of

MEMORY = f"{PREFIX}/memory-mib"
PAGE_SIZE = f"{PREFIX}/page-size"
"""What an agent reports of its board, for people and selectors. The 16 KiB pages of a Pi 5 keep some programs from running."""

AT_ONCE = 100
"""Nodes changed in one pass; the answers to these writes bring the next pass."""
MIB = 1024 * 1024


def changes(seen: Observed, ready: Iterable[Folder]) -> tuple[PatchFields, ...]:
    """Patches that make every node say what it should, at most 100.

    Args:
        seen: the fleet.
        ready: nodes whose folder was prepared just now.
    """
    marks = {folder.member.name: folder.mark for folder in ready}
    return tuple(patch for _, patch in zip(range(AT_ONCE), _patches(seen, marks), strict=False))


def _patches(seen: Observed, marks: Mapping[str, str]) -> Iterator[PatchFields]:
    members = {member.name: member for member in seen.membership.members}
    for node in seen.labelled:
        if node["metadata"]["name"] not in members:
            yield _patch(node, {"labels": {AGENT: None}})
    for name, member in members.items():
        labels = _differing(labels_of(member.node), _labels(seen, member, prepared=name in marks))
        wanted: dict[str, Any] = {"labels": labels} if labels else {}
        if name in marks:
            wanted["annotations"] = {PREPARED: marks[name]}
        if wanted:
            yield _patch(member.node, wanted)


def _labels(seen: Observed, member: Member, *, prepared: bool) -> dict[str, str]:
    """The agent comes to a node whose folder has been prepared once; it stays while a newer preparation is due."""
    present = member.node["metadata"].get("annotations") or {}
    report = seen.devices.reports.get(member.name)
    facts = _facts(report.report.facts) if report is not None and report.report.facts is not None else {}
    return facts | ({AGENT: agent_label(seen.name, member.board)} if prepared or PREPARED in present else {})


def _facts(facts: BoardFacts) -> dict[str, str]:
    return {MEMORY: str(facts.memory_bytes // MIB), PAGE_SIZE: str(facts.page_size)}


def _differing(present: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if present.get(key) != value}


def unlabel(nodes: Iterable[Manifest]) -> tuple[PatchFields, ...]:
    """Take the agent off these nodes."""
    return tuple(_patch(node, {"labels": {AGENT: None}}) for node in nodes)


def _patch(node: Manifest, metadata: Mapping[str, Any]) -> PatchFields:
    present = node["metadata"]
    return PatchFields(key_of(node), present["uid"], present["resourceVersion"], {"metadata": metadata})
