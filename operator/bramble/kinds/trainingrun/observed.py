"""What a pass over a TrainingRun looks at. Plain values: `gather` fills them, tests write them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bramble.api.objects import Object
from bramble.api.trainingrun import Spec, Status
from bramble.contracts.cause import Cause
from bramble.contracts.report import Progress
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.pod import Pod
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.jobs.step import Owner
from bramble.kinds.trainingrun.world import Node
from bramble.kube.resources import Manifest
from bramble.settings import Settings


@dataclass(frozen=True, slots=True)
class DatasetSeen:
    """The Dataset that the run names.

    Attributes:
        frozen: its spec as it stands now is frozen, and every check passed.
        message: why it is not, in its own words.
    """

    name: str
    uid: str
    version: str
    frozen: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class AttemptSeen:
    """The attempt in `status.current` as it stands.

    Attributes:
        job: its Job, None when there is none that is ours.
        pods: by node rank, the newest of each.
        reported: causes that its launchers left in the store, by node rank.
        stored: its result, verified against rank 0's last word where there is one.
        progress: what it last said of itself.
    """

    number: int
    nodes: int
    job: Job | None = None
    pods: Mapping[int, Pod] = field(default_factory=dict)
    reported: Mapping[int, Cause] = field(default_factory=dict)
    stored: Stored | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that `plan` decides by.

    Attributes:
        store: why the namespace's store cannot be used, None when it can or was not needed.
        attempt: of `status.current`.
        stale_children: Jobs and ConfigMaps of attempts that have ended.
        nodes: of the cluster.
        filed_key: where a result of the same inputs is filed; empty when such a result cannot be told by its inputs.
        filed: what lies there.
        evaluation: the present attempt at the evaluation.
        model_version: the object under the name of the ModelVersion to make.
    """

    run: Object[Spec, Status]
    settings: Settings
    gateway_ca: str = ""
    dataset: DatasetSeen | None = None
    store: Blocker | None = None
    attempt: AttemptSeen | None = None
    stale_children: tuple[Child, ...] = ()
    nodes: tuple[Node, ...] = ()
    filed_key: str = ""
    filed: Stored | None = None
    evaluation: StepSeen | None = None
    model_version: Manifest | None = None

    @property
    def spec(self) -> Spec:
        return self.run.spec

    @property
    def status(self) -> Status:
        return self.run.status

    @property
    def owner(self) -> Owner:
        """The run as its children name it."""
        return Owner(*self.run.metadata.key, self.run.metadata.uid)
