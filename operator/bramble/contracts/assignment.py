"""What the devices of a fleet should serve for one Rollout. It is stored in one ConfigMap, so that an undo is one write (design, §5)."""

from __future__ import annotations

import hashlib

from pydantic import Field

from bramble.contracts.base import Digest, ExtensibleDocument

KEY = "assignment.json"
LABEL = "bramble.dev/assignment"


class Blob(ExtensibleDocument):
    """A file that a device must have before it can serve."""

    sha256: Digest
    bytes: int


class PackageBlobs(ExtensibleDocument):
    """Every file of one package: first its own document, whose sha256 is the package's digest, then all files that it names."""

    blobs: tuple[Blob, ...]


class Assignment(ExtensibleDocument):
    """One assignment. `seq` only grows, and a device never goes back to a lower one. It contains no URLs and no keys."""

    fleet: str
    namespace: str
    model: str
    rollout_uid: str
    attempt: int = Field(ge=1)
    seq: int = Field(ge=1)
    nodes: dict[str, tuple[str, ...]]
    """Board to the nodes of the fleet with that board."""
    stable: dict[str, Digest] = Field(default_factory=dict)
    """Board to package. A board that is missing has no stable version."""
    candidate: dict[str, Digest] | None = None
    """Board to the package that is being tried; None when no version is."""
    candidate_nodes: tuple[str, ...] = ()
    """The nodes that should serve the candidate."""
    packages: dict[Digest, PackageBlobs] = Field(default_factory=dict)
    """The files of every package that is named above."""

    def board_of(self, node: str) -> str | None:
        """The board of this node; None where the assignment does not name the node."""
        return next((board for board, names in self.nodes.items() if node in names), None)

    def package_of(self, node: str) -> str | None:
        """The package that this node should serve now; None where it should serve nothing."""
        board = self.board_of(node)
        if board is None:
            return None
        if self.candidate is not None and node in self.candidate_nodes:
            return self.candidate.get(board)
        return self.stable.get(board)


def assignment_name(fleet: str, namespace: str, model: str) -> str:
    """The name of the ConfigMap. It is the same for every Rollout of the model on the fleet."""
    return f"assignment-{hashlib.sha256(f'{fleet}/{namespace}/{model}'.encode()).hexdigest()[:16]}"
