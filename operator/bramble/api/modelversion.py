"""The ModelVersion resource: the spec that a person or a TrainingRun writes, and the status that the operator writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bramble.api.jobs import OwnJobs, Resources, StepResources
from bramble.api.objects import AGE, Column, Kind, KindStatus, Reference, StepAttempts, condition_column
from bramble.api.schema import (
    ATOMIC,
    NAME_LIMIT,
    DigestText,
    Name,
    PatternMessage,
    PositiveDuration,
    Quantity,
    Rule,
    SpecPart,
    StatusPart,
    amount,
    computed,
    exactly_one,
    immutable,
    map_by,
    quoted,
    seconds,
)
from bramble.api.tasks import MaxDrop
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import Limits as JobLimits
from bramble.contracts.jobs.convert import VariantSpec
from bramble.contracts.runtimes import EXPORTED_NAME, FLOAT32, PRECISIONS, RUNTIMES, FormatName, PrecisionName
from bramble.kube.resources import MODEL_VERSION

ModelName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=32),
    PatternMessage("must be a model's name: a lower-case letter, then lower-case letters, digits and dashes, at most 32"),
]
VersionText = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z]+([.-][0-9a-z]+)*)?$", max_length=32),
    PatternMessage("must be a version: three numbers, and optionally a lower-case pre-release (SemVer), such as 2.0.0 or 2.1.0-rc.1"),
]
OBJECT_NAME = "self.model + '-' + self.version.replace('.', '-')"
NAMED_RULE = computed(
    f"({OBJECT_NAME}).size() <= {NAME_LIMIT}",
    f'the ModelVersion would be called "%s", which is longer than {NAME_LIMIT} characters: shorten model or version',
    OBJECT_NAME,
)


def object_name(model: str, version: str) -> str:
    """The name of the ModelVersion for this version of a model. It is fixed, so that a namespace has each version of a model once."""
    return f"{model}-{version.replace('.', '-')}"


PRECISION = f"(has(self.precision) ? self.precision : {quoted(FLOAT32.name)})"
CALIBRATED = [precision.name for precision in PRECISIONS if precision.calibrated]


def _names(names: Iterable[str]) -> str:
    """A CEL list of strings."""
    return f"[{', '.join(map(quoted, names))}]"


def _precision_rules() -> Iterator[Rule]:
    """A rule for each runtime that lacks a precision of another one."""
    for runtime in RUNTIMES:
        if set(runtime.precisions) != set(PRECISIONS):
            names = [precision.name for precision in runtime.precisions]
            yield Rule(
                f"self.format != {quoted(runtime.format)} || {PRECISION} in {_names(names)}",
                f"format: {runtime.format} has the precisions {', '.join(names)} only (unset means {FLOAT32.name})",
            )


class Variant(SpecPart):
    """A graph for one runtime, in one precision."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.calibrationSamples) || {PRECISION} in {_names(CALIBRATED)}",
            f"calibrationSamples only has an effect with precision: {' or '.join(CALIBRATED)}; set that, or remove calibrationSamples",
        ),
        *_precision_rules(),
    )

    name: Name
    """The variant's name in `status` and in the logs."""
    format: Annotated[FormatName, Field(description="; ".join(f"`{each.format}`: {each.title} runs it" for each in RUNTIMES) + ".")]
    precision: (
        Annotated[
            PrecisionName,
            Field(description="; ".join(f"`{each.name}`: {each.summary}" for each in PRECISIONS) + f". `{FLOAT32.name}` when unset."),
        ]
        | None
    ) = None
    calibration_samples: Annotated[int, Field(ge=8, le=5000)] | None = None
    """How many samples of the train split choose the ranges of a quantised graph's numbers; 200 when unset."""

    def job_variant(self) -> VariantSpec:
        """The variant as the convert job reads it."""
        return VariantSpec.model_validate(self.model_dump(exclude_none=True))


class Validation(SpecPart):
    """What every variant must keep to, after the conversion and again on each board."""

    max_drop: MaxDrop = MaxDrop()
    """How much lower each metric of a variant may be than that of the fp32 package, on the frozen test split. A metric that is not named
    here may be lower by any amount."""

    def job_max_drop(self) -> dict[str, str]:
        """The limits by metric, as jobs read them."""
        return self.max_drop.by_metric()


class Limits(SpecPart):
    """What a variant must reach on the board. A variant that misses a limit is rejected there, and the reason has the figures."""

    mean: PositiveDuration | None = None
    """The largest mean latency of one prediction."""
    p50: PositiveDuration | None = None
    """The largest median latency."""
    p95: PositiveDuration | None = None
    """The largest 95th percentile of the latency."""
    p99: PositiveDuration | None = None
    """The largest 99th percentile of the latency."""
    memory: Quantity | None = None
    """The largest peak memory of the process with two copies of the model loaded, as while an agent replaces one model by another."""

    def job_limits(self) -> JobLimits:
        """The limits in milliseconds and bytes, as the benchmark job reads them.

        Raises:
            ValueError: `memory` is not a quantity.
        """
        latency = {name: getattr(self, name) for name in ("mean", "p50", "p95", "p99")}
        return JobLimits(
            **{f"{name}_ms": 1000 * seconds(text) for name, text in latency.items() if text is not None},
            memory_bytes=int(amount(self.memory)) if self.memory is not None else None,
        )


class Target(SpecPart):
    """A board of a fleet on which the variants are measured. A Rollout needs this for each board of its fleet."""

    fleet: Name
    """The name of the Fleet. Its `allowedNamespaces` must list this namespace."""
    board: Name
    """The name of one of its boards. The benchmark runs on a node that the board's `benchmarkSelector` selects."""
    iterations: Annotated[int, Field(ge=50, le=100_000)] | None = None
    """How many predictions are timed. Defaults to 1000."""
    limits: Limits | None = None
    """What a variant must reach on the board."""


Targets = Annotated[tuple[Target, ...], Field(max_length=6), map_by("fleet", "board")]
Variants = Annotated[tuple[Variant, ...], Field(min_length=1, max_length=4), map_by("name")]
FP32 = Variant(name=EXPORTED_NAME, format=RUNTIMES[0].format)


class VersionSteps(StepResources):
    """The resources of the containers of a ModelVersion's steps. Those of benchmarks are decided by the chart's value `jobs`, because
    benchmarks run on other people's boards.
    """

    convert: Resources | None = None
    """The conversion of all variants."""


class VersionJobs(OwnJobs):
    """What is added to the version's Jobs and to their pods. It takes precedence over the chart's value `jobs`."""

    resources: VersionSteps | None = None
    """The resources of the steps."""


class PackageSource(SpecPart):
    """A package in the namespace's store."""

    digest: DigestText
    """The digest of the package's `package.json`. Its lineage must name the frozen dataset to calibrate and validate variants with."""


class ModelSource(SpecPart):
    """The source of the model."""

    RULES: ClassVar[tuple[Rule, ...]] = (exactly_one("trainingRunRef", "package"),)

    training_run_ref: Reference | None = None
    """The TrainingRun whose package the variants are made from."""
    package: PackageSource | None = None
    """A package in the namespace's store that the variants are made from."""


class Spec(SpecPart):
    """The model and its version, the variants to make, and the boards to measure them on."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        NAMED_RULE,
        immutable(
            ("model", "version", "source", "variants", "validation"),
            (),
            "a version of a model never changes; make a new version",
        ),
        Rule(
            "!has(oldSelf.benchmark) || oldSelf.benchmark.all(old, has(self.benchmark) && self.benchmark.exists(new, new == old))",
            "benchmark may only grow: a target cannot be changed or removed once it is set; add a target, or make a new version",
        ),
    )

    model: ModelName
    """The name of the model. A fleet runs one version of each model."""
    version: VersionText
    """The version of the model. The object must be named `<model>-<version>`, with dots as dashes."""
    source: ModelSource
    """The source of the model: a TrainingRun or a package."""
    variants: Variants = (FP32,)
    """The variants to make. Each board gets the fastest variant that passes everything there."""
    validation: Validation = Validation()
    """What every variant must keep to."""
    benchmark: Targets = ()
    """The boards to measure the variants on. Targets can be added later; then only the new ones are measured."""
    jobs: VersionJobs | None = None
    """What is added to the version's Jobs and to their pods. It may change; the next attempt uses it."""


PASSED = "Passed"
REJECTED = "Rejected"
"""Verdicts on a variant, at conversion and on a board."""

RUNNING = "Running"
CONVERTED = "Converted"
MEASURED = "Measured"
FAILED = "Failed"
"""States of the conversion (Running, Converted, Failed) and of a benchmark (Running, Measured, Failed)."""

OVER = frozenset({MEASURED, FAILED})
"""States of a benchmark that needs nothing more."""


class BenchmarkSeen(StatusPart):
    """What one board measured of one variant. The result in the store has more figures."""

    fleet: str = ""
    """The name of the Fleet."""
    board: str = ""
    """The name of the board."""
    verdict: str = ""
    """Passed or Rejected."""
    p50_ms: float | None = None
    """The median latency in milliseconds."""
    p99_ms: float | None = None
    """The 99th percentile of the latency in milliseconds."""
    memory_bytes: int | None = None
    """The peak memory with two copies of the model loaded, in bytes."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The metrics on that board, on samples of the test split."""
    reason: str = ""
    """Which limits the variant missed, with the figures."""


class VariantSeen(StatusPart):
    """One variant, and what was measured of it."""

    name: str = ""
    """The name of the variant."""
    package: str = ""
    """The digest of the variant's `package.json`; empty if it could not be made."""
    taken: str = ""
    """Which of several ways to make the graph was taken, such as a method of calibration; empty if there was only one."""
    bytes: int = 0
    """The size of the variant's graph in bytes."""
    compression: float = 0
    """How many times as large as this graph the fp32 graph is."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The variant's metrics on the frozen test split."""
    drop: dict[str, float] = Field(default_factory=dict)
    """How much lower each metric is than that of the fp32 package."""
    verdict: str = ""
    """Passed or Rejected, after the conversion."""
    reason: str = ""
    """Why the variant was rejected, with the figures."""
    benchmarks: Annotated[tuple[BenchmarkSeen, ...], ATOMIC] = ()
    """What each board measured of the variant."""


class Chosen(StatusPart):
    """The variant that a board runs when this version is rolled out."""

    fleet: str = ""
    """The name of the Fleet."""
    board: str = ""
    """The name of the board."""
    variant: str = ""
    """The name of the variant: of those that passed everything on the board, the one with the smallest p99 latency."""
    package: str = ""
    """The digest of the variant's package."""


class Conversion(StepAttempts):
    """The state of the conversion. Memory."""

    state: str = ""
    """Running, Converted or Failed."""
    message: str = ""
    """Why the conversion failed."""


class TargetSeen(StepAttempts):
    """The state of one board's benchmark. Memory."""

    fleet: str = ""
    """The name of the Fleet."""
    board: str = ""
    """The name of the board."""
    state: str = ""
    """Running, Measured or Failed."""
    node: str = ""
    """The node that measured."""
    message: str = ""
    """Why the benchmark failed."""


class LineageSeen(StatusPart):
    """Where the model came from."""

    training_run: str = ""
    """The name of the TrainingRun."""
    training_run_uid: str = ""
    """The uid of the TrainingRun."""
    package: str = ""
    """The digest of the package that training exported."""
    dataset: str = ""
    """The digest of the frozen dataset's manifest."""
    image: str = ""
    """The container image that trained, by digest."""


class Status(KindStatus):
    """The variants with what was measured of them, and the state of the conversion and the benchmarks."""

    MEMORY: ClassVar[frozenset[str]] = frozenset({"conversion", "lineage", "variants", "benchmarks", "firstCause", "lastRequest"})

    conversion: Conversion | None = None
    """The state of the conversion. Memory."""
    lineage: LineageSeen | None = None
    """Where the model came from. It is set when the conversion begins, and does not change after that. Memory."""
    variants: Annotated[tuple[VariantSeen, ...], ATOMIC] = ()
    """Every variant, and what was measured of it. Memory."""
    benchmarks: Annotated[tuple[TargetSeen, ...], ATOMIC] = ()
    """The state of each board's benchmark. Memory."""
    targets: Annotated[tuple[Chosen, ...], ATOMIC] = ()
    """The variant for each board on which one passed."""
    used_by: Annotated[tuple[str, ...], ATOMIC] = ()
    """The Rollouts (namespace/name) that have this version as stable, candidate or last good. While there are any, the version is not
    deleted."""
    first_cause: Cause | None = None
    """Why the last failed attempt failed. Memory."""


NAME_RULE = computed(
    "self.metadata.name == self.spec.model + '-' + self.spec.version.replace('.', '-')",
    'metadata.name: "%s" must be the model and the version with dots as dashes: name it "%s-%s"',
    "self.metadata.name",
    "self.spec.model",
    "self.spec.version.replace('.', '-')",
)

KIND = Kind(
    resource=MODEL_VERSION,
    spec=Spec,
    status=Status,
    description="One version of a model in one or several variants, with what each board measured of them. A Rollout brings it to a fleet.",
    short_names=("mv",),
    columns=(
        Column("Model", ".spec.model"),
        Column("Version", ".spec.version"),
        condition_column("Ready"),
        condition_column("Ready", "reason", name="Reason"),
        AGE,
        Column("Run", ".spec.source.trainingRunRef.name", priority=1),
        Column("Used by", ".status.usedBy", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
    rules=(NAME_RULE,),
)
