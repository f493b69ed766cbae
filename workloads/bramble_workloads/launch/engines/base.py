"""The interface of an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..attempt import Attempt


class Engine(ABC):
    """Runs the ranks of one node.

    Attributes:
        name: the name of the engine in `spec.engine` and in `TrainJob.engine`.
        library: the module that the trainer's image must have. An image without it can run one process on one node only.
    """

    name: str
    library: str

    @abstractmethod
    def run(self, attempt: Attempt) -> bool:
        """Start every rank of this node, and return when all have ended. Returns True if all succeeded.

        While ranks run, an engine calls `attempt.watch.look` with their processes at least every 0.1 s, and before it stops any of them; it
        stops all of them when one has failed or when `attempt.refused()`.

        Raises:
            NodesMissing: the nodes did not find each other.
            Terminated: SIGTERM arrived.
            ImportError: the image cannot run the trainer.
            OSError: the command cannot be run.
        """
