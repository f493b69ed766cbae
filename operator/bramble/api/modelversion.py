"""ModelVersion: what a person (or a TrainingRun) writes, and what the operator answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bramble.api.objects import AGE, Column, Kind, KindStatus, Reference, StepAttempts, condition_column
from bramble.api.schema import (
    ATOMIC,
    NAME_LIMIT,
    Described,
    DigestText,
    Duration,
    Name,
    Quantity,
    Rule,
    Says,
    Share,
    StatusPart,
    amount,
    computed,
    exactly_one,
    fixed,
    map_by,
    quoted,
    seconds,
)
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.benchmark import Limits as JobLimits
from bramble.contracts.jobs.convert import VariantSpec
from bramble.contracts.runtimes import FLOAT32, PRECISIONS, RUNTIMES, FormatName, PrecisionName
from bramble.kube.resources import MODEL_VERSION

ModelName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=32),
    Says("a model's name is wanted here: a lower-case letter, then letters, digits and dashes, at most 32"),
]
VersionText = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z]+([.-][0-9a-z]+)*)?$", max_length=32),
    Says("a version is wanted here: three numbers and perhaps a lower-case pre-release (SemVer), such as 2.0.0 or 2.1.0-rc.1"),
]
OBJECT_NAME = "self.model + '-' + self.version.replace('.', '-')"
NAMED_RULE = computed(
    f"({OBJECT_NAME}).size() <= {NAME_LIMIT}",
    f'the ModelVersion would be called "%s", which is longer than {NAME_LIMIT} characters: shorten model or version',
    OBJECT_NAME,
)


def object_name(model: str, version: str) -> str:
    """What the ModelVersion of this version of a model is called, so that the pair is taken once in a namespace."""
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


class Variant(Described):
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


class MaxDrop(Described):
    """How much worse than the fp32 package a variant may score, as a difference: 0.01 lets 0.97 become 0.96."""

    accuracy: Share | None = None
    """Of all predictions."""
    precision: Share | None = None
    """Macro mean over the classes."""
    recall: Share | None = None
    """Macro mean over the classes."""
    f1: Share | None = None
    """Macro mean over the classes."""


class Validation(Described):
    """What a variant must keep to, at conversion and again on each board."""

    max_drop: MaxDrop = MaxDrop()
    """The largest drop of each metric, counted from the fp32 package on the frozen test split."""

    def job_max_drop(self) -> dict[str, str]:
        """As jobs are told it."""
        return self.max_drop.model_dump(exclude_none=True)


class Limits(Described):
    """What a board must reach. Missed by any amount, the variant is rejected there with the numbers."""

    mean: Duration | None = None
    """Mean latency of one prediction."""
    p50: Duration | None = None
    """Half of all predictions are as fast as this."""
    p95: Duration | None = None
    """95 % are."""
    p99: Duration | None = None
    """99 % are."""
    memory: Quantity | None = None
    """Peak memory of the process while two copies of the model are loaded, as during a swap."""

    def job_limits(self) -> JobLimits:
        """In milliseconds and bytes. Raises ValueError: `memory` is not a quantity."""
        latency = {name: getattr(self, name) for name in ("mean", "p50", "p95", "p99")}
        return JobLimits(
            **{f"{name}_ms": 1000 * seconds(text) for name, text in latency.items() if text is not None},
            memory_bytes=int(amount(self.memory)) if self.memory is not None else None,
        )


class Target(Described):
    """A board of a fleet that the model must prove itself on before it may go there."""

    fleet: Name
    """The Fleet; its `allowedNamespaces` must list this namespace."""
    board: Name
    """One of its boards' names. The benchmark runs on a node that the board's `benchmarkSelector` selects."""
    iterations: Annotated[int, Field(ge=50, le=100_000)] | None = None
    """Timed predictions; 1000 when unset."""
    limits: Limits | None = None
    """What must be reached."""


Targets = Annotated[tuple[Target, ...], Field(max_length=6), map_by("fleet", "board")]
Variants = Annotated[tuple[Variant, ...], Field(min_length=1, max_length=4), map_by("name")]
FP32 = Variant(name=f"{RUNTIMES[0].format}-fp32", format=RUNTIMES[0].format)


class PackageSource(Described):
    """A package that is in the store already."""

    digest: DigestText
    """The sha256 of its `package.json`. Its lineage must name the frozen dataset that variants are calibrated and validated with."""


class ModelSource(Described):
    """Where the model comes from."""

    RULES: ClassVar[tuple[Rule, ...]] = (exactly_one("trainingRunRef", "package"),)

    training_run_ref: Reference | None = None
    """The TrainingRun whose package this is."""
    package: PackageSource | None = None
    """A package of the namespace's store."""


class Spec(Described):
    """Which model, in which forms, proved on which boards."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        NAMED_RULE,
        fixed(
            ("model", "version", "source", "variants", "validation"),
            (),
            "a version of a model never changes; make a new version",
        ),
        Rule(
            "!has(oldSelf.benchmark) || oldSelf.benchmark.all(old, has(self.benchmark) && self.benchmark.exists(new, new == old))",
            "benchmark may only grow: targets that were measured stay as they are, evidence is never taken back; add a target, or make a"
            " new version",
        ),
    )

    model: ModelName
    """The model's name: what a Rollout keeps one version of on a fleet."""
    version: VersionText
    """Its version. The object is named `<model>-<version>` with dots as dashes."""
    source: ModelSource
    """Where it comes from."""
    variants: Variants = (FP32,)
    """The forms it is made in. The best one that passes everything is chosen for each board."""
    validation: Validation = Validation()
    """What every variant must keep to."""
    benchmark: Targets = ()
    """The boards it must prove itself on; may grow later, and then only what is missing is measured."""


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
    """What one variant did on one board; the result in the store has every figure."""

    fleet: str = ""
    """Whose board."""
    board: str = ""
    """Which board."""
    verdict: str = ""
    """Passed or Rejected."""
    p50_ms: float | None = None
    """Median latency in milliseconds."""
    p99_ms: float | None = None
    """99th percentile in milliseconds."""
    memory_bytes: int | None = None
    """Peak memory with two copies loaded."""
    accuracy: float | None = None
    """On that board, on streamed samples of the test split."""
    reason: str = ""
    """Which limits were missed, with the numbers."""


class VariantSeen(StatusPart):
    """One variant and its evidence."""

    name: str = ""
    """As in the spec."""
    package: str = ""
    """Digest of its `package.json`; empty when it could not be made."""
    bytes: int = 0
    """Of its graph."""
    compression: float = 0
    """Bytes of the fp32 graph by bytes of this one."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """On the frozen test split."""
    drop: dict[str, float] = Field(default_factory=dict)
    """By how much it scores worse than the fp32 package."""
    verdict: str = ""
    """Passed or Rejected, at conversion."""
    reason: str = ""
    """Why it was rejected, with the numbers."""
    benchmarks: Annotated[tuple[BenchmarkSeen, ...], ATOMIC] = ()
    """By board."""


class Chosen(StatusPart):
    """What a board runs when this version is rolled out."""

    fleet: str = ""
    """Whose board."""
    board: str = ""
    """Which board."""
    variant: str = ""
    """The best variant: of those that pass everything, the one with the smallest p99."""
    package: str = ""
    """Its digest."""


class Conversion(StepAttempts):
    """How far the conversion has come. Memory."""

    state: str = ""
    """Running, Converted or Failed."""
    message: str = ""
    """Why it failed."""


class TargetSeen(StepAttempts):
    """How far one board's benchmark has come. Memory."""

    fleet: str = ""
    """Whose board."""
    board: str = ""
    """Which board."""
    state: str = ""
    """Running, Measured or Failed."""
    node: str = ""
    """Which node measured."""
    message: str = ""
    """Why it failed."""


class LineageSeen(StatusPart):
    """Where the model came from, by digest."""

    training_run: str = ""
    """Name of the TrainingRun."""
    training_run_uid: str = ""
    """Its uid."""
    package: str = ""
    """Digest of the package as exported by training."""
    dataset: str = ""
    """Digest of the frozen dataset."""
    image: str = ""
    """Digest of the image that trained."""


class Status(KindStatus):
    """What became of it."""

    MEMORY: ClassVar[frozenset[str]] = frozenset({"conversion", "lineage", "variants", "benchmarks", "firstCause", "lastRequest"})

    conversion: Conversion | None = None
    """How far the conversion has come. Memory."""
    lineage: LineageSeen | None = None
    """Where the model came from, pinned when conversion began. Memory."""
    variants: Annotated[tuple[VariantSeen, ...], ATOMIC] = ()
    """Every variant with its evidence. Memory."""
    benchmarks: Annotated[tuple[TargetSeen, ...], ATOMIC] = ()
    """How far each board's benchmark has come. Memory."""
    targets: Annotated[tuple[Chosen, ...], ATOMIC] = ()
    """The variant chosen for each board that has one."""
    used_by: Annotated[tuple[str, ...], ATOMIC] = ()
    """Rollouts (namespace/name) that have it as stable, candidate or last good. While there are any, it cannot be deleted."""
    first_cause: Cause | None = None
    """Why the last failed attempt failed. Memory."""


NAME_RULE = computed(
    "self.metadata.name == self.spec.model + '-' + self.spec.version.replace('.', '-')",
    'metadata.name: "%s" must be model and version with dots as dashes, so that a version is taken once: call it "%s-%s"',
    "self.metadata.name",
    "self.spec.model",
    "self.spec.version.replace('.', '-')",
)

KIND = Kind(
    resource=MODEL_VERSION,
    spec=Spec,
    status=Status,
    description="One version of a model in every form it is wanted in, with each board's evidence. A Rollout brings it to a fleet.",
    short_names=("mv",),
    columns=(
        Column("Model", ".spec.model"),
        Column("Version", ".spec.version"),
        condition_column("Ready"),
        condition_column("Ready", "reason", name="Reason"),
        AGE,
        Column("Run", ".spec.source.trainingRunRef.name", priority=1),
        Column("Variants", ".status.variants[*].name", priority=1),
        Column("Boards", ".status.targets[*].board", priority=1),
        Column("Used by", ".status.usedBy[*]", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
    rules=(NAME_RULE,),
)
