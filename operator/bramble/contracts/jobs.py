"""`job.json`: what a job is asked to do, and `result.json`: what it gave (design, §4).

The operator writes the first into an immutable ConfigMap per attempt; the job writes the second to the store, last.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from bramble.contracts.base import Digest, Document
from bramble.contracts.canonical import canonical_json, document_digest
from bramble.contracts.report import BoardFacts, ObjectRef

TOKEN_AUDIENCE = "bramble-gateway"


class Gateway(Document):
    """Where jobs post progress and results."""

    url: str


class Job(Document):
    """What every step is told."""

    schema_: Literal["bramble.dev/job/v1"] = Field("bramble.dev/job/v1", alias="schema")
    object: ObjectRef
    attempt: int
    prefix: str
    """The run prefix (`bramble.contracts.store.run_prefix`): the only folder, beside blobs, that this attempt writes."""
    gateway: Gateway | None = None


class Source(Document):
    """Raw pictures in the store, below the namespace's prefix."""

    name: str
    prefix: str
    format: Literal["image-folder"] = "image-folder"


class Splits(Document):
    """Ratios sum to 1 within 1e-6."""

    train: float
    val: float
    test: float
    stratify_by: tuple[str, ...] = ()
    group_by: str | None = None
    seed: int = 0


class Checks(Document):
    """What the data must be for training to begin."""

    min_samples_per_class: int | None = None
    max_imbalance: str | None = None
    duplicates: Literal["drop", "keep", "fail"] = "drop"
    class_pattern: str | None = None


class SnapshotJob(Job):
    """Freeze a Dataset."""

    step: Literal["snapshot"] = "snapshot"
    task: Literal["image-classification"]
    sources: tuple[Source, ...]
    splits: Splits
    checks: Checks
    previous: Digest | None = None
    """The manifest before: its groups keep their splits."""


class BuiltinTrainer(Document):
    """A training program of ours."""

    task: Literal["image-classification"]
    architecture: str
    pretrained: bool = False
    freeze_backbone: bool = False
    image_size: int = 32
    channels: Literal["RGB", "L"] = "RGB"


class ContainerTrainer(Document):
    """A training program of the user's; its image is in the pod's template."""

    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    data_format: Literal["image-folder"] = "image-folder"


class TrainJob(Job):
    """One attempt: a fixed number of nodes, no restart inside."""

    step: Literal["train"] = "train"
    manifest: Digest
    builtin: BuiltinTrainer | None = None
    container: ContainerTrainer | None = None
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    nodes: int = Field(ge=1)
    processes_per_node: int | Literal["auto"] = 1
    master: str
    """DNS name of node rank 0's pod."""
    master_port: int = 29400
    gpus_per_node: int = 0
    cpu_allowed: bool = True
    """False: GPUs were asked for and the node is not labelled as simulated, so no CUDA is a spec error."""
    seed: int = 0
    resume_from: tuple[str, ...] = ()
    """Checkpoint prefixes of earlier attempts, newest attempt first."""
    model: str
    version: str
    lineage: dict[str, Any] = Field(default_factory=dict)


class Gate(Document):
    """`metric` is at least `min`; of one class with `label`, of one slice value with `slice` (`column=value`)."""

    metric: Literal["accuracy", "precision", "recall", "f1"]
    min: str
    label: str | None = None
    slice: str | None = None


class EvaluateJob(Job):
    """Score an exported package on a frozen split."""

    step: Literal["evaluate"] = "evaluate"
    package: Digest
    manifest: Digest
    split: Literal["val", "test"] = "test"
    slices: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()


class VariantSpec(Document):
    """A form that the model is wanted in."""

    name: str
    format: Literal["onnx"] = "onnx"
    precision: Literal["float32", "int8"] = "float32"
    calibration_samples: int = 200


class ConvertJob(Job):
    """Make and validate every variant of a model."""

    step: Literal["convert"] = "convert"
    package: Digest
    """The fp32 package as training exported it."""
    manifest: Digest
    model: str
    version: str
    variants: tuple[VariantSpec, ...]
    max_drop: dict[str, str] = Field(default_factory=dict)


class Limits(Document):
    """Decimal strings with units resolved: milliseconds and bytes."""

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    memory_bytes: int | None = None


class BenchmarkJob(Job):
    """Measure every variant on one board. Reads blobs and posts its result through the gateway; holds no Secret."""

    step: Literal["benchmark"] = "benchmark"
    board: str
    fleet: str
    packages: tuple[Digest, ...]
    reference: Digest
    """The fp32 package: accuracy drops are counted from its accuracy in `reference_metrics`."""
    reference_metrics: dict[str, float] = Field(default_factory=dict)
    manifest: Digest
    iterations: int = 1000
    warmup: int = 50
    samples: int = 200
    limits: Limits = Limits()
    max_drop: dict[str, str] = Field(default_factory=dict)


AnyJob = Annotated[SnapshotJob | TrainJob | EvaluateJob | ConvertJob | BenchmarkJob, Field(discriminator="step")]


class JobFile(BaseModel):
    """Parses a `job.json` into the job of its step."""

    job: AnyJob

    @classmethod
    def parse(cls, content: bytes) -> AnyJob:
        """Raises pydantic.ValidationError: the file is not a job this code knows."""
        return cls.model_validate_json(b'{"job":' + content + b"}").job


IDENTITY_FREE = ("object", "attempt", "prefix", "gateway", "master", "resumeFrom")


def inputs_digest(job: Job, image: str) -> str:
    """What a result depends on: the job without who asks and where it writes, and the image that runs it."""
    document = job.model_dump(mode="json", by_alias=True, exclude_none=True)
    return document_digest({"image": image, "job": {key: value for key, value in document.items() if key not in IDENTITY_FREE}})


class Finding(Document):
    """Something a check of the data found."""

    check: str
    severity: Literal["error", "warning", "info"]
    message: str
    samples: tuple[str, ...] = ()
    """Source keys or ids, at most 20; the rest are in the file at `findings_key`."""
    count: int = 0


class Result(Document):
    """What every step gives."""

    schema_: Literal["bramble.dev/result/v1"] = Field("bramble.dev/result/v1", alias="schema")
    seconds: float
    image: str = ""


class SnapshotResult(Result):
    """`passed` is False when a finding of severity error blocks training."""

    step: Literal["snapshot"] = "snapshot"
    manifest: Digest
    counts: dict[str, dict[str, int]]
    classes: tuple[str, ...]
    samples: int
    bytes: int
    passed: bool
    findings: tuple[Finding, ...] = ()
    findings_key: str = ""


class TrainResult(Result):
    """The package as exported, before any variant is made of it."""

    step: Literal["train"] = "train"
    package: Digest
    weights: Digest | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    epochs: int
    device: str
    world_size: int


class Scores(Document):
    """Precision, recall and F1 are macro means in `Part.overall` and of one class in `Part.per_class`."""

    samples: int
    accuracy: float
    precision: float
    recall: float
    f1: float


class Part(Document):
    """Scores on some of the samples."""

    overall: Scores
    per_class: dict[str, Scores]
    """Of the classes that have a sample."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true classes, columns predicted ones, both in the package's order of labels."""


class GateOutcome(Document):
    """`value` is None when the split has no sample the gate is about: then it does not pass."""

    gate: Gate
    value: float | None = None
    passed: bool


class EvaluateResult(Result, Part):
    """Scores on the frozen split."""

    step: Literal["evaluate"] = "evaluate"
    labels: tuple[str, ...]
    slices: dict[str, dict[str, Part]] = Field(default_factory=dict)
    """Column to value to the same of its samples."""
    gates: tuple[GateOutcome, ...] = ()


class VariantOutcome(Document):
    """One variant made and validated; `package` is None when it could not be made."""

    name: str
    package: Digest | None = None
    bytes: int = 0
    compression: float = 1.0
    """Bytes of the fp32 graph by bytes of this one."""
    metrics: dict[str, float] = Field(default_factory=dict)
    drop: dict[str, float] = Field(default_factory=dict)
    passed: bool
    reason: str = ""


class ConvertResult(Result):
    """Every variant asked for, in that order."""

    step: Literal["convert"] = "convert"
    variants: tuple[VariantOutcome, ...]


class LatencySummary(Document):
    """Milliseconds."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    iterations: int


class BenchmarkOutcome(Document):
    """One variant on one board."""

    package: Digest
    golden: bool
    golden_message: str = ""
    latency: LatencySummary | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    drop: dict[str, float] = Field(default_factory=dict)
    peak_memory_bytes: int | None = None
    """Of the process while two copies of the model are loaded."""
    passed: bool
    reasons: tuple[str, ...] = ()


class BenchmarkResult(Result):
    """Every package asked for, in that order, on one node."""

    step: Literal["benchmark"] = "benchmark"
    board: str
    node: str
    facts: BoardFacts
    outcomes: tuple[BenchmarkOutcome, ...]


AnyResult = Annotated[SnapshotResult | TrainResult | EvaluateResult | ConvertResult | BenchmarkResult, Field(discriminator="step")]


class ResultFile(BaseModel):
    """Parses a `result.json` into the result of its step."""

    result: AnyResult

    @classmethod
    def parse(cls, content: bytes) -> AnyResult:
        """Raises pydantic.ValidationError: the file is not a result this code knows."""
        return cls.model_validate_json(b'{"result":' + content + b"}").result


class Termination(Document):
    """A job container's last word, at most 1 KiB in all: where its result or its cause lies, and the digest of it."""

    code: int
    key: str
    """Of the result or of the cause; empty where neither could be filed (no readable job, no store)."""
    sha256: Digest
    message: str = Field("", max_length=600)
    """Only where the key is empty: what the cause would have said."""

    def encode(self) -> bytes:
        """As it stands in the termination log."""
        return canonical_json(self)
