"""The labels and the annotation that the operator keeps on a fleet's nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from bramble.api.labels import AGENT, PREFIX, agent_label
from bramble.contracts.report import BoardFacts
from bramble.kinds.fleet.folders import Folder
from bramble.kinds.fleet.membership import Member
from bramble.kinds.fleet.node import PREPARED, Node
from bramble.kinds.fleet.observed import Observed
from bramble.kinds.plan import PatchFields

MEMORY_MIB = f"{PREFIX}/memory-mib"
PAGE_SIZE = f"{PREFIX}/page-size"
"""What the agent reports of its board, for people and for selectors. A Pi 5 has pages of 16 KiB, which some programs cannot work with."""

PATCHED_AT_ONCE = 100
"""Most nodes that are changed in one pass. The changes wake the next pass, which changes the next ones."""

MIB = 1024 * 1024


def changes(seen: Observed, prepared: Iterable[Folder]) -> tuple[PatchFields, ...]:
    """The patches that bring labels and annotation of every node to what they should be, at most `PATCHED_AT_ONCE`.

    Args:
        seen: the fleet.
        prepared: folders whose preparation has just completed.
    """
    marks = {folder.member.name: folder.mark for folder in prepared}
    return tuple(islice(_patches(seen, marks), PATCHED_AT_ONCE))


def _patches(seen: Observed, marks: Mapping[str, str]) -> Iterator[PatchFields]:
    members = {member.name: member for member in seen.membership.members}
    yield from (_without_agent(node) for node in seen.labelled if node.name not in members)
    for name, member in members.items():
        labels = {key: value for key, value in _labels(seen, member, marks).items() if member.node.labels.get(key) != value}
        metadata: dict[str, Any] = {"labels": labels} if labels else {}
        if name in marks:
            metadata["annotations"] = {PREPARED: marks[name]}
        if metadata:
            yield member.node.patch(metadata)


def _labels(seen: Observed, member: Member, marks: Mapping[str, str]) -> dict[str, str]:
    """The labels that a member should have. It gets its agent once its folder has been prepared, and keeps it when another is due."""
    report = seen.devices.reports.get(member.name)
    labels = _facts(report.report.facts) if report is not None and report.report.facts is not None else {}
    if member.name in marks or member.node.prepared:
        labels[AGENT] = agent_label(seen.name, member.board)
    return labels


def _facts(facts: BoardFacts) -> dict[str, str]:
    return {MEMORY_MIB: str(facts.memory_bytes // MIB), PAGE_SIZE: str(facts.page_size)}


def remove_agents(nodes: Iterable[Node]) -> tuple[PatchFields, ...]:
    """The patches that take the agent off these nodes, at most `PATCHED_AT_ONCE`."""
    return tuple(_without_agent(node) for node in islice(nodes, PATCHED_AT_ONCE))


def _without_agent(node: Node) -> PatchFields:
    return node.patch({"labels": {AGENT: None}})
