"""What an engine works with: the plan of this node, its files, and those who watch its ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .handshake import RunFolder
    from .logs import Pump
    from .plan import LaunchPlan
    from .watch import Watch


@dataclass(frozen=True)
class Attempt:
    """One attempt on one node.

    Attributes:
        plan: what to run.
        folder: where its files lie.
        pump: takes the output of the ranks.
        watch: must be called with the ranks while they run.
    """

    plan: LaunchPlan
    folder: RunFolder
    pump: Pump
    watch: Watch

    def refused(self) -> bool:
        """Whether the sidecar wants the ranks stopped, because the store refuses this run. Engines ask while ranks run."""
        return self.folder.refused.exists()
