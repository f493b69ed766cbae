"""Dataset: what a person writes, and what the operator answers."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from bramble.api.objects import AGE, Column, Kind, KindStatus, condition_column
from bramble.api.schema import ATOMIC, SET, Decimal, Described, Name, Rule, StatusPart, computed, fixed, map_by
from bramble.contracts.cause import Cause
from bramble.contracts.jobs import snapshot
from bramble.kube.resources import DATASET

SUM = "self.train + self.val + self.test"


class S3Source(Described):
    """A folder of the namespace's store."""

    prefix: Annotated[str, Field(max_length=512, pattern=r"^([^/].*)?$")] = ""
    """The folder's key below the store's own prefix, such as `tv-ads/`; empty for everything. Other buckets cannot be named."""


class Source(Described):
    """Where raw pictures come from."""

    name: Name
    """Told in every sample's `origin`."""
    s3: S3Source
    """A folder of the namespace's store (Secret `bramble-store`)."""
    format: Literal["image-folder"]
    """`image-folder`: `<class>/<file>`, with an optional `metadata.csv` (file_name, then columns) that becomes the samples' `meta`."""


class Splits(Described):
    """How samples are divided. Sticky: samples of an earlier version keep their split."""

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
    """Share of the samples to learn from."""
    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share that training chooses its best epoch, thresholds and temperature by."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share that evaluation and boards are measured on; training never sees it."""
    stratify_by: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=8), SET] = ()
    """Columns of the samples' `meta` whose values are to be as frequent in each split, beside the class."""
    group_by: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """A column of `meta`: samples with the same value (a recording, a person) never stand in two splits."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Decides which new group goes first. The same seed and samples give the same splits."""


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression ({error}): mend it, for example ^[A-Z0-9 ]+$") from error
    return text


class Checks(Described):
    """What must hold before anything trains on the samples. A failing check is a condition that names the samples."""

    min_samples_per_class: Annotated[int, Field(ge=1)] | None = None
    """The smallest number of samples that a class may have."""
    max_imbalance: Decimal | None = None
    """How many times larger than the smallest class the largest may be, such as "10"."""
    duplicates: Literal["drop", "keep", "fail"] = "drop"
    """What becomes of pictures that are there twice: `drop` keeps the first, `keep` keeps all in one group, `fail` blocks training."""
    class_pattern: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_regular_expression)] | None = None
    """A regular expression that every class's whole name must match."""


class Spec(Described):
    """What is to be frozen."""

    RULES: ClassVar[tuple[Rule, ...]] = (fixed(("task",), (), "samples of another task are another Dataset; make one with another name"),)

    task: Literal["image-classification"]
    """What a model trained on it does: one class for each picture."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=32), map_by("name")]
    """Where the pictures come from. A change makes a new version of the dataset."""
    splits: Splits = Splits()
    """How samples are divided into train, val and test."""
    checks: Checks = Checks()
    """What must hold before anything trains on them."""

    def job_sources(self) -> tuple[snapshot.Source, ...]:
        """The sources as the snapshot job is told them."""
        return tuple(snapshot.Source(name=source.name, prefix=source.s3.prefix, format=source.format) for source in self.sources)

    def job_splits(self) -> snapshot.Splits:
        """The splits as the snapshot job is told them."""
        return snapshot.Splits.model_validate(self.splits.model_dump())

    def job_checks(self) -> snapshot.Checks:
        """The checks as the snapshot job is told them."""
        return snapshot.Checks.model_validate(self.checks.model_dump())


class Samples(StatusPart):
    """How many samples the present version has."""

    total: int = 0
    """All of them."""
    bytes: int = 0
    """What they take in the store."""
    classes: int = 0
    """How many classes there are."""
    splits: dict[str, int] = Field(default_factory=dict)
    """By split."""
    per_class: dict[str, int] = Field(default_factory=dict)
    """By class, the first 50 of them; all are in the manifest."""


class Version(StatusPart):
    """One frozen state of the dataset."""

    version: str = ""
    """The manifest's digest: what a TrainingRun pins."""
    attempt: int = 0
    """The snapshot that made it."""
    samples: int = 0
    """How many it holds."""
    at: str = ""
    """When it was recorded, RFC 3339."""


class FindingSeen(StatusPart):
    """Something that a check found."""

    check: str = ""
    """Which check."""
    severity: str = ""
    """error blocks training; warning and info do not."""
    message: str = ""
    """What was found, and what to do."""
    count: int = 0
    """How many samples it concerns."""
    samples: Annotated[tuple[str, ...], ATOMIC] = ()
    """At most 20 of them; the rest are in the file that `findingsUri` names."""


class Status(KindStatus):
    """What became of it."""

    MEMORY: ClassVar[frozenset[str]] = frozenset(
        {"attempt", "failures", "disruptions", "inputs", "version", "versions", "passed", "firstCause", "lastRequest"}
    )

    attempt: int = 0
    """Which snapshot Job is, or was, the last. Memory."""
    failures: int = 0
    """Failed attempts at the present inputs. Memory."""
    disruptions: int = 0
    """Attempts at the present inputs that something outside ended. Memory."""
    inputs: str = ""
    """Digest of the spec that `attempt` snapshots: another spec is another attempt. Memory."""
    version: str = ""
    """Digest of the newest manifest. Memory."""
    versions: Annotated[tuple[Version, ...], ATOMIC] = ()
    """The newest ten, newest first. Memory."""
    passed: bool | None = None
    """Whether `version` passed every check. Memory."""
    samples: Samples | None = None
    """Counts of the present version."""
    findings: Annotated[tuple[FindingSeen, ...], ATOMIC] = ()
    """What the checks found in the present version."""
    findings_uri: str = ""
    """Where the store has all findings."""
    first_cause: Cause | None = None
    """Why the last attempt failed. Memory."""


KIND = Kind(
    resource=DATASET,
    spec=Spec,
    status=Status,
    description="Pictures, checked, split and frozen. Each version is named by its manifest's digest; a TrainingRun pins one.",
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
