"""TrainingRun: what a person writes, and what the operator answers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationError, WithJsonSchema, model_validator

from bramble.api.engines.catalogue import DEFAULT, Engine
from bramble.api.labels import EDGE_TAINT
from bramble.api.modelversion import FP32, NAMED_RULE, ModelName, Targets, Validation, Variants, VersionText
from bramble.api.objects import AGE, Column, Kind, KindStatus, Reference, StepAttempts, condition_column
from bramble.api.schema import (
    ATOMIC,
    SET,
    Described,
    Duration,
    LabelValue,
    Name,
    Quantity,
    Rule,
    Share,
    StatusPart,
    exactly_one,
    fixed,
    map_by,
)
from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause
from bramble.contracts.hyperparameters import Hyperparameters, describe
from bramble.kube.resources import TRAINING_RUN


class Builtin(Described):
    """A training program that comes with Bramble. It evaluates, exports and checkpoints by itself."""

    task: Literal["image-classification"]
    """What the model is to do; the dataset's task."""
    architecture: Annotated[str, Field(min_length=1, max_length=64)]
    """`small-cnn` (a small convolutional net), or an architecture of timm such as efficientnet_lite0 or resnet50."""
    image_size: Annotated[int, Field(ge=8, le=1024)] = 32
    """Edge in pixels of the square that pictures are brought to."""
    channels: Literal["RGB", "L"] = "RGB"
    """`RGB` for colour, `L` for grey."""


class EnvVar(Described):
    """One variable. Secrets cannot be named: a training script gets its data and gives its results as files."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Its name; those that begin with BRAMBLE_ or PET_, RANK, WORLD_SIZE and their like are set by the launcher and win."""
    value: Annotated[str, Field(max_length=4096)]
    """Its value."""


class Container(Described):
    """A training program of your own (docs/kinds/trainingrun.md)."""

    image: Annotated[str, Field(min_length=1, max_length=512)]
    """Its image; by digest (name@sha256:…) for a run that can be repeated. It needs a python3 of 3.9 or newer for the launcher."""
    command: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(min_length=1, max_length=64), ATOMIC]
    """What each rank runs, such as [python, train.py]."""
    args: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=256), ATOMIC] = ()
    """Its arguments."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), map_by("name")] = ()
    """More variables."""
    data_format: Literal["image-folder"] = "image-folder"
    """How the samples are laid out below $BRAMBLE_DATA, beside samples.jsonl."""


class Trainer(Described):
    """What trains: a program of Bramble's or one of your own."""

    RULES: ClassVar[tuple[Rule, ...]] = (exactly_one("builtin", "container"),)

    builtin: Builtin | None = None
    """A program that comes with Bramble."""
    container: Container | None = None
    """A program of your own."""


class Resources(Described):
    """What each pod's training container needs, as in a pod."""

    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Upper bounds: cpu, memory, nvidia.com/gpu. A run that asks for GPUs and finds no CUDA fails and says so."""
    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What the scheduler sets aside: cpu, memory."""


class Toleration(Described):
    """A taint that the pods bear, as in a pod; not that of a fleet's boards, whose owner decides what runs there."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.key) && self.key != ''",
            f"a toleration without key bears every taint, also {EDGE_TAINT} of the fleets' boards: set key to that of the taint you mean",
        ),
        Rule(
            f"!has(self.key) || self.key != '{EDGE_TAINT}'",
            f"key: {EDGE_TAINT} keeps pods off the fleets' boards, where a TrainingRun never runs: remove this toleration",
        ),
    )

    key: Annotated[str, Field(max_length=316)] | None = None
    """The taint's key."""
    operator: Literal["Exists", "Equal"] | None = None
    """Equal when unset."""
    value: LabelValue | None = None
    """The taint's value, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Every effect when unset."""
    toleration_seconds: int | None = None
    """For NoExecute: how long the taint is borne."""


class Budgets(Described):
    """How much may go wrong before the run is Failed. May be raised while it runs, and after it failed."""

    failures: Annotated[int, Field(ge=0, le=100)] = 2
    """Attempts that may fail by their own fault (a crash, an error of the script, no progress) and be tried again."""
    disruptions: Annotated[int, Field(ge=0, le=1000)] = 20
    """Attempts that something outside may end (a lost node, preemption, an unreachable store) and be tried again."""
    deadline: Duration | None = None
    """How long attempts may run in all; time spent suspended or waiting for a next attempt does not count."""


class GateSpec(Described):
    """A metric of the exported package on the frozen test split that must be reached."""

    metric: Literal["accuracy", "precision", "recall", "f1"]
    """Which; precision, recall and f1 are macro means, or of one class with `label`."""
    min: Share
    """The least it may be, such as "0.9"."""
    label: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Of this class alone."""
    slice: Annotated[str, Field(min_length=3, max_length=256, pattern=r"^[^=]+=.+$")] | None = None
    """Of the samples with this value alone: `column=value`; the column must be in `slices`."""


class Evaluation(Described):
    """How the exported package is judged. Numbers that a script reports are information; these are measured."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.gates) || self.gates.all(gate, !has(gate.slice) ||"
            " (has(self.slices) && self.slices.exists(column, gate.slice.startsWith(column + '='))))",
            "a gate's slice is column=value, and its column must be listed in evaluation.slices: add it there",
        ),
    )

    slices: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=8), SET] = ()
    """Columns of the samples' `meta`: every metric is also given for each of their values."""
    gates: Annotated[tuple[GateSpec, ...], Field(max_length=16), ATOMIC] = ()
    """All must be reached, else the run is Failed (GatesFailed), its package is kept and no ModelVersion is made."""


class ModelVersionTemplate(Described):
    """The ModelVersion that a successful run makes. It outlives the run."""

    RULES: ClassVar[tuple[Rule, ...]] = (NAMED_RULE,)

    model: ModelName
    """The model's name."""
    version: VersionText
    """Its version; the ModelVersion is named `<model>-<version>` with dots as dashes."""
    variants: Variants = (FP32,)
    """The forms it is made in."""
    validation: Validation = Validation()
    """What every variant must keep to."""
    benchmark: Targets = ()
    """The boards it must prove itself on."""


DEEPEST = 16
"""Levels of hyperparameters, themselves counted: whoever reads JSON has a limit, and the API server would take thousands."""


def _portable(document: dict[str, Any]) -> dict[str, Any]:
    """The run's identity is a digest of them, and the trainer reads them as JSON."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        nested = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for values in nested for value in values if isinstance(value, dict | list)]
    if level:
        raise ValueError(f"nested more than {DEEPEST} levels deep: write deeper parts as texts, or as files of the trainer's image")
    try:
        canonical_json(document)
    except ValueError as error:
        raise ValueError(f"cannot be written as portable JSON ({error}): write whole numbers below 2**53, others as texts") from error
    return document


FreeForm = Annotated[
    dict[str, Any], AfterValidator(_portable), WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]


class Spec(Described):
    """What to train, on what, how far, and what becomes of it."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        fixed(
            ("datasetRef", "trainer", "engine", "evaluation"),
            ("hyperparameters", "modelVersion"),
            "they decide what comes out; make another TrainingRun with another name",
        ),
    )

    dataset_ref: Reference
    """The Dataset. Its version is pinned in `status.dataset` when the run is admitted."""
    trainer: Trainer
    """What trains."""
    hyperparameters: FreeForm = Field(default_factory=dict)
    """For the built-in trainer: epochs, batchSize, learningRate, optimizer, weightDecay, scheduler, warmupEpochs, earlyStopping, augment
    and others (docs/kinds/trainingrun.md). For a container: anything; it is $BRAMBLE_PARAMS as JSON."""
    engine: Engine = DEFAULT
    """What joins several nodes; one node when unset."""
    resources: Resources | None = None
    """What each pod's training container needs."""
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    """Labels of the nodes that may train."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16), ATOMIC] = ()
    """Taints that the pods bear."""
    priority_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The pods' PriorityClass."""
    queue_name: Name | None = None
    """A Kueue LocalQueue of this namespace: Kueue then decides when an attempt starts."""
    suspend: bool = False
    """True ends the present attempt at its newest checkpoint and starts none until it is false again."""
    budgets: Budgets = Budgets()
    """How much may go wrong."""
    evaluation: Evaluation = Evaluation()
    """How the exported package is judged."""
    model_version: ModelVersionTemplate | None = None
    """The ModelVersion to make on success; none when unset."""

    @model_validator(mode="after")
    def _known_to_the_builtin(self) -> Spec:
        """The API server lets any hyperparameter in, since a user's own program may want any."""
        if self.trainer.builtin is not None:
            try:
                Hyperparameters.model_validate(self.hyperparameters)
            except ValidationError as error:
                raise ValueError(f"spec.hyperparameters: {describe(error)}") from error
        return self


class DatasetPin(StatusPart):
    """The frozen dataset that this run trains on, whatever the Dataset becomes."""

    name: str = ""
    """The Dataset."""
    uid: str = ""
    """Its uid."""
    version: str = ""
    """Digest of the manifest."""


class ProgressSeen(StatusPart):
    """What the attempt last said of itself. Information: gates read the evaluation alone."""

    summary: str = ""
    """Epoch of epochs, for people."""
    epoch: int = 0
    """Epochs done."""
    epochs: int = 0
    """Epochs wanted."""
    eta_seconds: int | None = None
    """How long the rest should take."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """As the trainer reports them."""
    device: str = ""
    """What it runs on: cpu, cpu (simulated gpu), cuda and its name."""
    world_size: int = 0
    """Processes that train together."""
    first_step_at: str = ""
    """When this attempt made its first step, RFC 3339."""


class PackageSeen(StatusPart):
    """What training gave."""

    digest: str = ""
    """Of the `package.json`: the identity of the model."""
    weights: str = ""
    """Digest of the final weights (safetensors)."""
    epochs: int = 0
    """How many epochs it saw."""
    device: str = ""
    """What it was trained on."""
    image: str = ""
    """The image that trained it."""


class GateSeen(StatusPart):
    """One gate and what was measured."""

    gate: str = ""
    """Such as `recall of ad at least 0.9`."""
    value: float | None = None
    """What was measured; unset when the split holds no such sample."""
    passed: bool = False
    """Whether it was reached."""


class EvaluationSeen(StatusPart):
    """What the exported package scored on the frozen test split."""

    samples: int = 0
    """How many."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """accuracy, and macro means of precision, recall and f1."""
    gates: Annotated[tuple[GateSeen, ...], ATOMIC] = ()
    """Every gate."""
    uri: str = ""
    """Where the store has the whole result: per class, per slice, confusion matrix."""


class CurrentAttempt(StatusPart):
    """The attempt that runs. Memory."""

    number: int = 0
    """Counts from 1 over the whole life of the run."""
    nodes: int = 0
    """How many pods it has."""
    at: str = ""
    """When it was decided on, RFC 3339."""
    cpu_allowed: bool = False
    """Whether it may use the CPU though GPUs were asked for: only where every node that fits is labelled as simulated."""


class Outcome(StatusPart):
    """How the run ended for good."""

    reason: str = ""
    """Succeeded, or why it failed."""
    message: str = ""
    """What, why, and what to do."""
    at: str = ""
    """When, RFC 3339."""


class Status(KindStatus):
    """What became of it."""

    MEMORY: ClassVar[frozenset[str]] = frozenset(
        {
            "attempt",
            "current",
            "failures",
            "disruptions",
            "stalls",
            "epoch",
            "evaluating",
            "spentSeconds",
            "endedAt",
            "dataset",
            "firstCause",
            "package",
            "evaluation",
            "modelVersion",
            "outcome",
            "lastRequest",
        }
    )

    attempt: int = 0
    """Which attempt is, or was, the last. Memory."""
    current: CurrentAttempt | None = None
    """The attempt that runs; none between attempts, while suspended and at the end. Memory."""
    failures: int = 0
    """Attempts that failed by their own fault. Memory."""
    disruptions: int = 0
    """Attempts that something outside ended. Memory."""
    stalls: int = 0
    """Attempts in a row that ended with exit code 75 and got no further than those before; the third counts as a failure. Memory."""
    epoch: int = 0
    """The furthest epoch that an ended attempt reported. Memory."""
    evaluating: StepAttempts | None = None
    """The attempts at the evaluation. Memory."""
    spent_seconds: int = 0
    """How long ended attempts ran in all. Memory."""
    ended_at: str = ""
    """When the last attempt ended, RFC 3339. Memory."""
    dataset: DatasetPin | None = None
    """The frozen dataset, pinned. Memory."""
    progress: ProgressSeen | None = None
    """What the attempt last said of itself."""
    first_cause: Cause | None = None
    """Why the last failed attempt failed: the first of its causes, with rank, node and the rank's last lines. Memory."""
    package: PackageSeen | None = None
    """What training gave. Memory."""
    evaluation: EvaluationSeen | None = None
    """What the package scored. Memory."""
    model_version: str = ""
    """The ModelVersion that was made. Memory."""
    outcome: Outcome | None = None
    """How the run ended for good. Memory."""


KIND = Kind(
    resource=TRAINING_RUN,
    spec=Spec,
    status=Status,
    description="Trains one model from one frozen dataset, over as many attempts as its budgets allow, and judges what came out.",
    short_names=("trun",),
    columns=(
        Column("Phase", ".status.phase"),
        Column("Progress", ".status.progress.summary"),
        Column("Attempt", ".status.attempt", "integer"),
        condition_column("Ready", "reason", name="Reason"),
        AGE,
        Column("Dataset", ".spec.datasetRef.name", priority=1),
        Column("Cause", ".status.firstCause.kind", priority=1),
        Column("Failures", ".status.failures", "integer", priority=1),
        Column("Disruptions", ".status.disruptions", "integer", priority=1),
        Column("Model version", ".status.modelVersion", priority=1),
        condition_column("Ready", "message", priority=1, name="Message"),
    ),
)
