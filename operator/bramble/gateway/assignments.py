"""What each node should run, from the ConfigMaps that the operator writes, and who waits for it to change.

A node is told of its own part alone: its board's packages, itself, and whether it is a canary. Five thousand nodes that wait
cost a future each; a change wakes those that it names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationError

from bramble.contracts.assignment import KEY, Assignment
from bramble.contracts.canonical import canonical_json, digest_of, short
from bramble.kube.resources import Manifest

log = logging.getLogger(__name__)


class Grant(NamedTuple):
    """A blob that a node may read: whose store it lies in, and its size where the assignment says it."""

    namespace: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Told:
    """What one node is told: the body of the answer, and its entity tag."""

    etag: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """A node's place in an assignment: looked up once for each change, not once for each question of five thousand nodes."""

    assignment: Assignment
    board: str
    canary: bool


def places(assignment: Assignment) -> dict[str, Place]:
    """The place of every node of the fleet."""
    canaries = frozenset(assignment.candidate_nodes) if assignment.candidate is not None else frozenset[str]()
    return {node: Place(assignment, board, node in canaries) for board, names in assignment.nodes.items() for node in names}


def for_node(place: Place, node: str) -> Assignment:
    """The part of an assignment that is this node's."""
    assignment, board, canary = place.assignment, place.board, place.canary
    stable = {board: assignment.stable[board]} if board in assignment.stable else {}
    candidate = {board: assignment.candidate[board]} if canary and assignment.candidate and board in assignment.candidate else None
    named = {*stable.values(), *(candidate or {}).values()}
    return assignment.model_copy(
        update={
            "nodes": {board: (node,)},
            "stable": stable,
            "candidate": candidate,
            "candidate_nodes": (node,) if canary else (),
            "packages": {digest: blobs for digest, blobs in assignment.packages.items() if digest in named},
        }
    )


def told(parts: Iterable[Assignment]) -> Told:
    """The answer that gives a node these assignments."""
    documents = b",".join(canonical_json(part) for part in parts)
    etag = short(digest_of(documents))
    return Told(etag, b'{"assignments":[%b],"etag":"%b"}' % (documents, etag.encode()))


class Assignments:
    """Every assignment as last seen. Fed by one watch; read by every device's call."""

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        """Set with the first whole list. Before it an absent assignment means nothing, and no device may be told so."""
        self._by_name: dict[str, Assignment] = {}
        self._of_node: dict[str, dict[str, Place]] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def waiting(self) -> int:
        """How many calls wait for a change."""
        return sum(map(len, self._waiting.values()))

    def replace(self, manifests: Iterable[Manifest]) -> None:
        """A whole list: what is not in it is gone."""
        listed = {manifest["metadata"]["name"]: manifest for manifest in manifests}
        for name in self._by_name.keys() - listed.keys():
            self.remove(name)
        for manifest in listed.values():
            self.put(manifest)
        self.synced.set()

    def put(self, manifest: Manifest) -> None:
        """One assignment as it is now. One that cannot be read leaves what was there: a device keeps what it has."""
        name = manifest["metadata"]["name"]
        try:
            assignment = Assignment.model_validate_json((manifest.get("data") or {}).get(KEY, ""))
        except ValidationError as error:
            log.error("ConfigMap %s holds no assignment, and the one before it stays in force: %s", name, error.errors()[0]["msg"])  # noqa: TRY400
            return
        before = self._by_name.get(name)
        if before == assignment:
            return
        self._by_name[name] = assignment
        self._file(name, before, assignment)

    def remove(self, name: str) -> None:
        """The assignment is gone: its nodes are told so."""
        before = self._by_name.pop(name, None)
        if before is not None:
            self._file(name, before, None)

    def _file(self, name: str, before: Assignment | None, after: Assignment | None) -> None:
        then = {node for names in before.nodes.values() for node in names} if before is not None else set[str]()
        now = places(after) if after is not None else {}
        for node in then - now.keys():
            parts = self._of_node[node]
            del parts[name]
            if not parts:
                del self._of_node[node]
        for node, place in now.items():
            self._of_node.setdefault(node, {})[name] = place
        for node in then | now.keys():
            for future in self._waiting.pop(node, ()):
                if not future.done():
                    future.set_result(None)

    def of(self, node: str) -> Told:
        """What this node is told now, in a stable order."""
        parts = self._of_node.get(node, {})
        return told(for_node(parts[name], node) for name in sorted(parts))

    def grants(self, node: str, digest: str) -> Grant | None:
        """Whose store this node may read this blob from; None where no assignment of the node names it."""
        for place in self._of_node.get(node, {}).values():
            for package in for_node(place, node).packages.values():
                for blob in package.blobs:
                    if blob.sha256 == digest:
                        return Grant(place.assignment.namespace, blob.bytes)
        return None

    async def changed(self, node: str, seconds: float) -> None:
        """Returns when something changed for this node, or after so many seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(node, set())
        waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=seconds)
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(node) is waiting:
                del self._waiting[node]

    def release(self) -> None:
        """Let everybody who waits go, because this replica is about to leave."""
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)
        self._waiting.clear()
