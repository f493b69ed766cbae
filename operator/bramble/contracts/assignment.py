"""What a fleet's devices should run for one Rollout: one ConfigMap, one write to undo (design, §5)."""

from __future__ import annotations

import hashlib

from pydantic import Field

from bramble.contracts.base import Digest, ExtensibleDocument

KEY = "assignment.json"
LABEL = "bramble.dev/assignment"


class Blob(ExtensibleDocument):
    """A blob a device must have before it can serve."""

    sha256: Digest
    bytes: int


class PackageBlobs(ExtensibleDocument):
    """The closure of one package: its own document first (sha256 is the package digest), then all it names."""

    blobs: tuple[Blob, ...]


class Assignment(ExtensibleDocument):
    """`seq` only grows and a device never goes back to a lower one; no URLs, no keys."""

    fleet: str
    namespace: str
    model: str
    rollout_uid: str
    attempt: int = Field(ge=1)
    seq: int = Field(ge=1)
    nodes: dict[str, tuple[str, ...]]
    """Board to the nodes of the fleet with that board."""
    stable: dict[str, Digest] = Field(default_factory=dict)
    """Board to package; empty for a board without a stable."""
    candidate: dict[str, Digest] | None = None
    candidate_nodes: tuple[str, ...] = ()
    packages: dict[Digest, PackageBlobs] = Field(default_factory=dict)

    def board_of(self, node: str) -> str | None:
        """The board that this node counts as, or None where the node is not of this assignment."""
        return next((board for board, names in self.nodes.items() if node in names), None)

    def package_of(self, node: str) -> str | None:
        """The package this node should serve now."""
        board = self.board_of(node)
        if board is None:
            return None
        if self.candidate is not None and node in self.candidate_nodes:
            return self.candidate.get(board)
        return self.stable.get(board)


def assignment_name(fleet: str, namespace: str, model: str) -> str:
    """The ConfigMap's name, the same for every Rollout of the model on the fleet."""
    return f"assignment-{hashlib.sha256(f'{fleet}/{namespace}/{model}'.encode()).hexdigest()[:16]}"
