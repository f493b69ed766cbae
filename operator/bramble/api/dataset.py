"""The Dataset resource: the spec that a person writes, and the status that the operator writes."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from bramble.api.jobs import OwnJobs, Resources, StepResources
from bramble.api.objects import AGE, Column, Kind, KindStatus, condition_column
from bramble.api.schema import ATOMIC, SET, PatternMessage, Rule, SpecPart, StatusPart, computed, immutable, map_by
from bramble.api.sources import Source
from bramble.api.tasks import TASK_LINES
from bramble.contracts.cause import Cause
from bramble.contracts.jobs import snapshot
from bramble.contracts.tasks.catalogue import TaskName
from bramble.kube.resources import DATASET

SUM = "self.train + self.val + self.test"


class Splits(SpecPart, snapshot.Splits):
    """How samples are divided into train, val and test. A sample of an earlier version that passed its checks keeps its split."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        computed(
            f"{SUM} > 0.999999 && {SUM} < 1.000001",
            "train, val and test are shares that must sum to 1; %s + %s + %s is %s: change one of them",
            "self.train",
            "self.val",
            "self.test",
            SUM,
        ),
    )

    train: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """The share of the samples that training learns from."""
    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """The share of the samples by which training chooses its best epoch, its thresholds and its temperature."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """The share of the samples that the evaluation and the benchmarks use. Training never reads them."""
    stratify_by: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=8), SET] = ()
    """Columns of the samples' `meta`. Each of their values is about as frequent in every split, as each class is anyway."""
    group_by: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """A column of the samples' `meta`, such as a recording or a person. All samples with the same value are in the same split."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Decides in which order new groups are assigned to splits. Samples of an earlier version that passed its checks keep their split
    whatever the seed is; without such a version, the same seed and the same samples give the same splits."""


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression ({error}): correct it; an example is ^[A-Z0-9 ]+$") from error
    return text


AtLeastOne = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,8}(\.[0-9]{1,9})?$", max_length=20),
    PatternMessage('must be a decimal number of at least 1 as a string, such as "10"'),
]


class Checks(SpecPart, snapshot.Checks):
    """What must hold before a TrainingRun may use the samples. A check that fails makes the condition ChecksPassed False, which names the
    samples.
    """

    min_samples_per_class: Annotated[int, Field(ge=1)] | None = None
    """The smallest number of samples that a class may have."""
    max_imbalance: AtLeastOne | None = None
    """How many times as large as the smallest class the largest class may be, such as "10"."""
    duplicates: Literal["drop", "keep", "separate", "fail"] = "drop"
    """What to do with a picture that occurs more than once, or that looks like another one as a small grey thumbnail. `drop` keeps one
    of those with the same annotation (one that an earlier version has, if there is one), `keep` keeps all of them in the same split,
    `separate` keeps all of them as if they were different pictures, so that the scores may be too high, `fail` fails the check."""
    class_pattern: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_regular_expression)] | None = None
    """A regular expression that the whole name of every class must match."""


class DatasetSteps(StepResources):
    """The resources of the containers of a Dataset's steps."""

    snapshot: Resources | None = None
    """The snapshot. Its memory grows with the number of samples."""


class DatasetJobs(OwnJobs):
    """What is added to the Dataset's Jobs and to their pods. It takes precedence over the chart's value `jobs`."""

    resources: DatasetSteps | None = None
    """The resources of the steps."""


class Spec(SpecPart):
    """The samples to freeze."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        immutable(("task",), (), "samples of another task are another Dataset; make one with another name"),
    )

    task: Annotated[TaskName, Field(description=f"What a model that is trained on it does. {TASK_LINES}")]
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=32), map_by("name")]
    """Where the pictures are. A change makes a new version of the dataset."""
    splits: Splits = Splits()
    """How samples are divided into train, val and test."""
    checks: Checks = Checks()
    """What must hold before a TrainingRun may use the samples."""
    jobs: DatasetJobs | None = None
    """What is added to the Dataset's Jobs and to their pods. It may change, which makes no new version; the next attempt uses it."""

    def job_sources(self) -> tuple[snapshot.Source, ...]:
        """The sources as the snapshot job reads them."""
        return tuple(source.job_source() for source in self.sources)


class Samples(StatusPart):
    """How many samples the present version has."""

    total: int = 0
    """The number of samples."""
    bytes: int = 0
    """Their size in the store, in bytes."""
    classes: int = 0
    """The number of classes."""
    splits: dict[str, int] = Field(default_factory=dict)
    """The number of samples in each split."""
    per_class: dict[str, int] = Field(default_factory=dict)
    """The number of samples of each class, for the first 50 classes. The manifest has all of them."""


class Version(StatusPart):
    """One frozen version of the dataset."""

    version: str = ""
    """The digest of the version's manifest. A TrainingRun pins it."""
    attempt: int = 0
    """The number of the snapshot attempt that made it."""
    samples: int = 0
    """The number of samples."""
    passed: bool | None = None
    """Whether it has passed every check, so that its samples keep their splits in later versions. Versions of earlier releases do not say
    it, and count as passed."""
    at: str = ""
    """When the version was recorded (RFC 3339)."""


class FindingSeen(StatusPart):
    """Something that a check found."""

    check: str = ""
    """The name of the check."""
    severity: str = ""
    """error, warning or info. An error makes the check fail."""
    message: str = ""
    """What was found, and what to do."""
    count: int = 0
    """The number of samples that it concerns."""
    samples: Annotated[tuple[str, ...], ATOMIC] = ()
    """Up to 20 of these samples. The file that `findingsUri` names has all of them."""


class Status(KindStatus):
    """The latest version of the dataset, and the state of its snapshot."""

    MEMORY: ClassVar[frozenset[str]] = frozenset(
        {"attempt", "failures", "disruptions", "inputs", "version", "versions", "passed", "firstCause", "lastRequest"}
    )

    attempt: int = 0
    """The number of the present snapshot attempt, counted from 1. Memory."""
    failures: int = 0
    """How many attempts at the present spec failed by their own fault. Memory."""
    disruptions: int = 0
    """How many attempts at the present spec were ended by something outside, such as a lost node. Memory."""
    inputs: str = ""
    """The digest of the spec that the present attempt is for. Memory."""
    version: str = ""
    """The digest of the newest version's manifest. Memory."""
    versions: Annotated[tuple[Version, ...], ATOMIC] = ()
    """The ten newest versions, newest first. If none of them has passed its checks, the newest that has is the last one. Memory."""
    passed: bool | None = None
    """Whether `version` passed every check. Memory."""
    samples: Samples | None = None
    """How many samples `version` has."""
    findings: Annotated[tuple[FindingSeen, ...], ATOMIC] = ()
    """What the checks found in `version`, errors first."""
    findings_uri: str = ""
    """The key of the file in the store that has all findings."""
    first_cause: Cause | None = None
    """Why the last attempt failed. Memory."""


KIND = Kind(
    resource=DATASET,
    spec=Spec,
    status=Status,
    description="Pictures, checked, split and frozen. Each version is named by the digest of its manifest. A TrainingRun pins one version.",
    short_names=("dset",),
    columns=(
        condition_column("Ready"),
        condition_column("Ready", "reason", name="Reason"),
        Column("Samples", ".status.samples.total", "integer"),
        Column("Classes", ".status.samples.classes", "integer"),
        AGE,
        Column("Task", ".spec.task", priority=1),
        Column("Version", ".status.version", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
)
