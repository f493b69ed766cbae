"""What a pass over a TrainingRun looks at. `gather` fills it in, and tests write it down."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.api.objects import Object
from bramble.api.trainingrun import DatasetPin, Spec, Status
from bramble.contracts.manifest import Manifest
from bramble.contracts.report import Progress
from bramble.kinds.blockers import Blocker
from bramble.kinds.jobs.additions import Additions
from bramble.kinds.jobs.gather import StepSeen, Stored
from bramble.kinds.jobs.job import Job
from bramble.kinds.jobs.outlived import Outlived
from bramble.kinds.jobs.stale_children import Child
from bramble.kinds.jobs.step import Owner
from bramble.kinds.trainingrun.attempt import AttemptSeen, AttemptState
from bramble.kinds.trainingrun.kept_output import Listing
from bramble.kinds.trainingrun.nodes import Node
from bramble.settings import Settings


@dataclass(frozen=True, slots=True)
class DatasetSeen:
    """The Dataset that the run names.

    Attributes:
        frozen: its present spec is snapshotted, and every check passed.
        message: why it is not, as the Dataset itself says it.
        manifest: the header of the version, by which gates are checked; None without gates.
    """

    name: str
    uid: str
    version: str
    frozen: bool
    message: str = ""
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """The run whose output is to be packaged.

    Attributes:
        ended: its training is over.
        dataset: what it was trained on; None before it was admitted.
        listing: what it left; None if it left nothing, or is under way and has left nothing yet.
        manifest: the header of the dataset's version; None if neither a gate nor a description needs it, or if it cannot be read.
        attempts: how many attempts at training it has had.
        kept_attempts: which of the newest left an output, in order. They are looked up if the attempt that the spec names left none.
    """

    ended: bool
    dataset: DatasetPin | None
    listing: Listing | None
    manifest: Manifest | None = None
    attempts: int = 0
    kept_attempts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelVersionSeen:
    """The object that has the name of the ModelVersion to make.

    Attributes:
        run: the TrainingRun that it names as its source; empty if it has another source.
        package: the digest of the package that it has pinned; empty before it has pinned one.
    """

    run: str
    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that `plan` decides by. Fields that the present stage of the run does not need are None or empty.

    Attributes:
        store: why the namespace's store cannot be used; None if it can, or was not needed.
        attempt: what was read of the attempt in `status.current`.
        state: the state of that attempt. `plan` computes it once a pass, since it depends on the time.
        stale_children: objects of attempts that have ended.
        outlived: Jobs that go on although their attempt has ended.
        nodes: the nodes of the cluster.
        filed_key: where a result of the same inputs is filed; empty if the inputs do not determine the result.
        filed: the result that is filed there.
        listing: what the present attempt, or the attempt whose result is filed, left in `$BRAMBLE_OUT`.
        late_output: what the last attempt left, if that is not remembered yet.
        source: the run whose output this run packages, until that is pinned.
        circle: runs, from this one on, that wait for each other's output; empty if one of them trains.
        packaging: the present attempt at packaging it.
        evaluation: the present attempt at the evaluation.
        model_version: the object that has the name of the ModelVersion to make.
    """

    run: Object[Spec, Status]
    settings: Settings
    gateway_ca: str = ""
    dataset: DatasetSeen | None = None
    store: Blocker | None = None
    attempt: AttemptSeen | None = None
    state: AttemptState | None = None
    stale_children: tuple[Child, ...] = ()
    outlived: tuple[Outlived, ...] = ()
    nodes: tuple[Node, ...] = ()
    filed_key: str = ""
    filed: Stored | None = None
    listing: Listing | None = None
    late_output: Listing | None = None
    source: SourceSeen | None = None
    circle: tuple[str, ...] = ()
    packaging: StepSeen | None = None
    evaluation: StepSeen | None = None
    model_version: ModelVersionSeen | None = None

    @property
    def spec(self) -> Spec:
        return self.run.spec

    @property
    def status(self) -> Status:
        return self.run.status

    @property
    def owner(self) -> Owner:
        """The run, as its children refer to it."""
        return Owner(*self.run.metadata.key, self.run.metadata.uid)

    @property
    def additions(self) -> Additions:
        """What is added to the run's Jobs."""
        return Additions.of(self.settings.jobs, self.spec.jobs)

    @property
    def job(self) -> Job | None:
        """The Job of the present attempt; None if there is no attempt or no Job of it."""
        return self.attempt.job if self.attempt is not None else None

    @property
    def progress(self) -> Progress | None:
        """What the present attempt last reported; None if there is no attempt or it has reported nothing."""
        return self.attempt.progress if self.attempt is not None else None
