"""The attempt that an engine runs: the plan of this node, its files, and the objects that watch its ranks."""

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
        plan: the programs to run.
        folder: the paths of the files of this attempt.
        pump: copies the output of the ranks.
        watch: records how ranks end. An engine calls `watch.look` while ranks run.
    """

    plan: LaunchPlan
    folder: RunFolder
    pump: Pump
    watch: Watch

    def refused(self) -> bool:
        """True if the ranks must be stopped, because the store refuses this run. Engines check this while ranks run."""
        return self.folder.refused.exists()
