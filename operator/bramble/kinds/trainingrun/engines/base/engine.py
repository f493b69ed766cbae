"""The interface of an engine.

The rest of the controller decides when an attempt begins, what its failure costs and when the run is over. An engine only turns an attempt
into Kubernetes objects and reads them back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from bramble.api.engines.base import EngineSettings
from bramble.api.trainingrun import CurrentAttempt, Spec
from bramble.kinds.plan import Apply, CreateOnce
from bramble.kinds.sources import Sources
from bramble.kinds.trainingrun.attempt import AttemptSeen
from bramble.kinds.trainingrun.nodes import Node
from bramble.kinds.trainingrun.observed import Observed
from bramble.kube.resources import Resource


class Engine(ABC):
    """Makes the objects of an attempt, and reads them back.

    Attributes:
        settings: the type of this engine's settings in `spec.engine`.
        more_resources: the kinds of objects, beside Jobs and ConfigMaps, that an attempt consists of. Those of ended attempts are deleted.
    """

    settings: ClassVar[type[EngineSettings]]
    more_resources: ClassVar[tuple[Resource, ...]] = ()

    @abstractmethod
    def size(self, spec: Spec, nodes: Sequence[Node], *, disrupted: bool) -> int:
        """How many pods the next attempt has.

        Args:
            nodes: the nodes of the cluster.
            disrupted: something outside ended the attempt before, such as a lost node. The next one may then be smaller.
        """

    @abstractmethod
    def processes(self, spec: Spec) -> int:
        """How many processes train in each pod."""

    @abstractmethod
    def launch_settings(self, seen: Observed, attempt: int) -> Mapping[str, str | int]:
        """What the launchers of an attempt need to find each other, for the engine of this name in `bramble_workloads.launch.engines`."""

    @abstractmethod
    def run_children(self, seen: Observed) -> tuple[Apply, ...]:
        """Objects that all attempts of the run share. They are applied in every pass while an attempt runs."""

    @abstractmethod
    def attempt_children(self, seen: Observed, current: CurrentAttempt) -> tuple[CreateOnce, ...]:
        """The objects of one attempt. They are created once and never changed.

        The last of them must be one without which no pod starts: `AttemptSeen.begun` tells whether it exists.
        """

    @abstractmethod
    async def gather(self, seen: Observed, current: CurrentAttempt, sources: Sources) -> AttemptSeen:
        """Read the objects of the present attempt, and those that all attempts share.

        What lies in the store and what the gateway knows is the same for every engine, and is added afterwards.
        """
