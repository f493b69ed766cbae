"""The TrainingRun resource: the spec that a person writes, and the status that the operator writes."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bramble.api.engines.catalogue import DEFAULT, Engine
from bramble.api.jobs import OwnJobs, Resources, StepResources
from bramble.api.labels import EDGE_TAINT
from bramble.api.modelversion import FP32, NAMED_RULE, ModelName, Targets, Validation, Variants, VersionJobs, VersionText
from bramble.api.objects import AGE, Column, Kind, KindStatus, Reference, StepAttempts, condition_column
from bramble.api.schema import (
    ATOMIC,
    NAME_RULES,
    SET,
    LabelValue,
    Name,
    PositiveDuration,
    Quantity,
    Rule,
    Share,
    SpecPart,
    StatusPart,
    computed,
    immutable,
    quoted,
)
from bramble.api.tasks import describe_metrics, gate_rules
from bramble.api.trainer import FreeForm, Trainer
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.evaluate import Gate
from bramble.contracts.tasks.catalogue import MetricName
from bramble.kube.resources import TRAINING_RUN


class TrainResources(Resources):
    """The resources of each pod's training container, as in a pod."""

    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """The most that the container may use: cpu, memory, nvidia.com/gpu. If the built-in trainer gets GPUs and finds no CUDA, the run ends
    as SpecError."""


class RunSteps(StepResources):
    """The resources of the containers of Bramble's own in a run's pods. Those of the training container are `spec.resources`."""

    fetch: Resources | None = None
    """The container that downloads the dataset and the checkpoint before training. Each node has one."""
    sidecar: Resources | None = None
    """The container that uploads checkpoints and results, and checks the model. Each node has one."""
    package: Resources | None = None
    """The packaging of a kept output (`trainer.keptOutput`)."""
    evaluate: Resources | None = None
    """The evaluation of the exported package."""


class RunJobs(OwnJobs):
    """What is added to the run's Jobs and to their pods. It takes precedence over the chart's value `jobs`."""

    resources: RunSteps | None = None
    """The resources of Bramble's own containers."""


class Toleration(SpecPart):
    """A taint that the pods tolerate, as in a pod. The taint of a fleet's boards is not allowed: their owner decides what runs there."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.key) && self.key != ''",
            f"a toleration without a key tolerates every taint, also {EDGE_TAINT} of the fleets' nodes: set key to that of the taint",
        ),
        Rule(
            f"!has(self.key) || self.key != '{EDGE_TAINT}'",
            f"key: {EDGE_TAINT} is the taint of the fleets' nodes, where a TrainingRun never runs: remove this toleration",
        ),
    )

    key: Annotated[str, Field(max_length=316)] | None = None
    """The key of the taint."""
    operator: Literal["Exists", "Equal"] | None = None
    """Exists or Equal. Defaults to Equal."""
    value: LabelValue | None = None
    """The value of the taint, for the operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The effect of the taint. Unset means every effect."""
    toleration_seconds: int | None = None
    """For NoExecute: for how many seconds the taint is tolerated. Unset means for ever."""


class Budgets(SpecPart):
    """How many attempts may fail, and how long attempts may run, before the run fails. Budgets can be raised while the run is under way and
    after it failed; then it continues.
    """

    failures: Annotated[int, Field(ge=0, le=100)] = 2
    """How many attempts may fail by their own fault, such as a crash or an error of the script, and be followed by another."""
    disruptions: Annotated[int, Field(ge=0, le=1000)] = 20
    """How many attempts may be ended by something outside, such as a lost node or preemption, and be followed by another."""
    deadline: PositiveDuration = "24h"
    """How long all attempts together may run, a day unless set. Time between attempts, or while suspended, does not count. A run that
    reaches it keeps its checkpoints, and goes on from the newest one when the deadline is raised."""


class GateSpec(SpecPart, Gate):
    """A value that a metric of the exported package must reach on the frozen test split."""

    metric: Annotated[MetricName, Field(description=f"A metric of the run's task, of one class with `label`. {describe_metrics()}")]
    min: Share
    """The smallest value that passes, such as "0.9"."""
    label: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """The class to measure. Unset means all classes. With a class that the Dataset does not have, the run does not begin."""
    slice: Annotated[str, Field(min_length=3, max_length=256, pattern=r"^[^=]+=.+$")] | None = None
    """The samples to measure, as `column=value`. The column must be in `slices`. Unset means all samples of the test split.
    With a slice of which the test split has no sample, the run does not begin."""


class Evaluation(SpecPart):
    """How the exported package is evaluated. Gates use these measurements, not what the training program reports of itself."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.gates) || self.gates.all(gate, !has(gate.slice) ||"
            " (has(self.slices) && self.slices.exists(column, gate.slice.startsWith(column + '='))))",
            "the column of a gate's slice (column=value) must be in evaluation.slices: add it there",
        ),
    )

    slices: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=8), SET] = ()
    """Columns of the samples' `meta`. Every metric is also measured for each value of these columns."""
    gates: Annotated[tuple[GateSpec, ...], Field(max_length=16), ATOMIC] = ()
    """Values that metrics must reach. If a gate is missed, the run fails with the reason GatesFailed. Its package is kept, and no
    ModelVersion is created."""


class ModelVersionTemplate(SpecPart):
    """The ModelVersion that the run creates when it succeeds. Deleting the run does not delete it."""

    RULES: ClassVar[tuple[Rule, ...]] = (NAMED_RULE,)

    model: ModelName
    """The name of the model."""
    version: VersionText
    """The version of the model. The ModelVersion is named `<model>-<version>`, with dots as dashes."""
    variants: Variants = (FP32,)
    """The variants to make."""
    validation: Validation = Validation()
    """What every variant must keep to."""
    benchmark: Targets = ()
    """The boards to measure the variants on."""
    jobs: VersionJobs | None = None
    """What is added to the Jobs of the ModelVersion and to their pods."""


NOT_WITHOUT_TRAINING = ("hyperparameters", "resources", "nodeSelector", "tolerations", "priorityClassName", "queueName")
"""Fields that only a training uses. `engine` and `budgets` have defaults, so a rule cannot tell whether somebody wrote them."""


def _kept_rule() -> Rule:
    unused = {name: f"has(self.{name})" for name in NOT_WITHOUT_TRAINING}
    return computed(
        f"!has(self.trainer.keptOutput) || !({' || '.join(unused.values())})",
        f"{'%s' * len(unused)}cannot be set with trainer.keptOutput, because nothing is trained: remove what is named",
        *(f"(!{test} ? '' : {quoted(name + ' ')})" for name, test in unused.items()),
    )


class Spec(SpecPart):
    """The training program and its data, how it runs, and what its result must reach."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        immutable(
            ("datasetRef", "trainer", "engine", "evaluation"),
            ("hyperparameters", "modelVersion"),
            "they decide the result; make another TrainingRun with another name",
        ),
        *gate_rules(),
        _kept_rule(),
    )

    dataset_ref: Reference
    """The Dataset to train on. Its version at the time when the run is admitted is pinned in `status.dataset`. With `trainer.keptOutput` it
    is the Dataset that the other run was trained on, in the version of that run."""
    trainer: Trainer
    """Where the model comes from."""
    hyperparameters: FreeForm = Field(default_factory=dict)
    """The hyperparameters. The built-in trainer has epochs, batchSize, learningRate, optimizer, weightDecay, scheduler, warmupEpochs,
    earlyStopping, augment and others (docs/reference/hyperparameters.md). A program of your own reads whatever you write here from the
    environment variable BRAMBLE_PARAMS, as JSON, or from the file that BRAMBLE_PARAMS_FILE names."""
    engine: Engine = DEFAULT
    """How several nodes train together. Defaults to torchrun with one node."""
    resources: TrainResources | None = None
    """The resources of each pod's training container."""
    jobs: RunJobs | None = None
    """What is added to the run's Jobs and to their pods. It may change; the next attempt uses it."""
    node_selector: Annotated[dict[str, LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    """Labels of the nodes that attempts may run on."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16), ATOMIC] = ()
    """Taints that the pods tolerate."""
    priority_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The PriorityClass of the pods."""
    queue_name: Name | None = None
    """A Kueue LocalQueue of this namespace. If it is set, Kueue decides when an attempt starts."""
    suspend: bool = False
    """Whether the run is suspended. True ends the present attempt at training, or at packaging a kept output. The next one begins once this
    is false; a training continues from its newest checkpoint."""
    budgets: Budgets = Budgets()
    """How many attempts may fail, and how long attempts may run."""
    evaluation: Evaluation = Evaluation()
    """How the exported package is evaluated, and what it must reach."""
    model_version: ModelVersionTemplate | None = None
    """The ModelVersion to create when the run succeeds. Unset means none."""

    @model_validator(mode="after")
    def _known_to_the_builtin(self) -> Spec:
        """Check the built-in trainer's hyperparameters. The API server accepts any, because a program of the user's may have any."""
        if self.trainer.builtin is not None:
            try:
                self.trainer.builtin.check(self.hyperparameters)
            except ValueError as error:
                raise ValueError(f"spec.hyperparameters: {error}") from error
        return self


class DatasetPin(StatusPart):
    """The version of the Dataset that this run trains on. Later versions of the Dataset do not change it."""

    name: str = ""
    """The name of the Dataset."""
    uid: str = ""
    """The uid of the Dataset."""
    version: str = ""
    """The digest of the version's manifest."""


class ProgressSeen(StatusPart):
    """The progress that the attempt reported last. Gates do not use it; they use the evaluation."""

    summary: str = ""
    """The epoch and the number of epochs, for people."""
    epoch: int = 0
    """How many epochs are done."""
    epochs: int = 0
    """How many epochs there are in all."""
    eta_seconds: int | None = None
    """The estimated time until training ends, in seconds."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The metrics that the training program reports."""
    device: str = ""
    """The device that the attempt runs on: cpu, cpu (simulated gpu), or cuda and its name."""
    world_size: int = 0
    """The number of processes that train together."""
    first_step_at: str = ""
    """When the attempt made its first step (RFC 3339)."""


class OutputSeen(StatusPart):
    """What a training program left in $BRAMBLE_OUT. A TrainingRun with `spec.trainer.keptOutput` packages it without training."""

    run: str = ""
    """The TrainingRun that trained."""
    attempt: int = 0
    """The attempt that left it."""
    files: int = 0
    """How many files are kept."""
    bytes: int = 0
    """Their size in bytes."""
    left_out: int = 0
    """How many files were not kept; the listing names them."""
    problem: str = ""
    """Why no package was made of it. Unset if one was made."""
    uri: str = ""
    """The key in the store of the listing, which names every file with the digest of its blob."""
    digest: str = ""
    """The digest of the listing."""
    description: str = ""
    """In a run that packages it: the digest of the model description that replaces the kept one."""


class PackageSeen(StatusPart):
    """The package that training exported."""

    digest: str = ""
    """The digest of the package's `package.json`, which identifies the model."""
    weights: str = ""
    """The digest of the final weights (safetensors)."""
    epochs: int = 0
    """How many epochs the model was trained."""
    device: str = ""
    """The device that the model was trained on."""
    image: str = ""
    """The container image that trained the model."""


class GateSeen(StatusPart):
    """One gate, and what was measured for it."""

    gate: str = ""
    """The gate in words, such as `recall of ad at least 0.9`."""
    value: float | None = None
    """The measured value. Unset if the test split has no such sample."""
    passed: bool = False
    """Whether the gate was reached."""


class EvaluationSeen(StatusPart):
    """The evaluation of the exported package on the frozen test split."""

    samples: int = 0
    """The number of samples that were measured."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The metrics of the task; for `image-classification` accuracy, precision, recall and f1."""
    gates: Annotated[tuple[GateSeen, ...], ATOMIC] = ()
    """Every gate, and what was measured for it."""
    remarks: Annotated[tuple[str, ...], ATOMIC] = ()
    """What the whole result leaves out, and what the answers suggest, such as exchanged labels."""
    uri: str = ""
    """The key in the store of the whole result, with every class, every slice, and the confusion matrix."""


class CurrentAttempt(StatusPart):
    """The attempt that runs. Memory."""

    number: int = 0
    """The number of the attempt, counted from 1 over the whole life of the run."""
    nodes: int = 0
    """The number of pods of the attempt."""
    at: str = ""
    """When the attempt was begun (RFC 3339)."""
    deadline_seconds: int = 0
    """How long the attempt may run, in seconds: what was left of `spec.budgets.deadline` when it was begun."""
    cpu_allowed: bool = False
    """Whether the attempt may use the CPU in place of the GPUs that the spec asks for. That is so if every node that fits is labelled as
    simulated."""


class Released(StatusPart):
    """Attempts that were ended because they did not begin to train. Memory."""

    times: int = 0
    """How many attempts in a row."""
    message: str = ""
    """Why the last of them did not."""


class Outcome(StatusPart):
    """How the run ended."""

    reason: str = ""
    """Succeeded, or the reason why the run failed."""
    message: str = ""
    """Why, and what to do."""
    at: str = ""
    """When the run ended (RFC 3339)."""


class Status(KindStatus):
    """The attempts so far, and what came of them."""

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
            "released",
            "dataset",
            "hyperparameters",
            "firstCause",
            "keptOutput",
            "packaging",
            "package",
            "evaluation",
            "modelVersion",
            "outcome",
            "lastRequest",
        }
    )

    attempt: int = 0
    """The number of the last attempt, counted from 1. Memory."""
    current: CurrentAttempt | None = None
    """The attempt that runs. Unset between attempts, while the run is suspended, and after it ended. Memory."""
    failures: int = 0
    """How many attempts failed by their own fault. Memory."""
    disruptions: int = 0
    """How many attempts were ended by something outside, such as a lost node. Memory."""
    stalls: int = 0
    """How many attempts in a row ended with exit code 75 and got no further than earlier ones. The third is a failure. Memory."""
    epoch: int = 0
    """The highest epoch that an ended attempt reported. Memory."""
    evaluating: StepAttempts | None = None
    """The attempts at the evaluation. Memory."""
    spent_seconds: int = 0
    """How long all ended attempts together ran, in seconds. Memory."""
    ended_at: str = ""
    """When the last attempt ended (RFC 3339). Memory."""
    released: Released | None = None
    """Set while the last attempt did not begin to train and was therefore ended. Memory."""
    dataset: DatasetPin | None = None
    """The version of the Dataset that the run trains on. Memory."""
    hyperparameters: str = ""
    """The digest of the hyperparameters that the run was admitted with. Memory."""
    progress: ProgressSeen | None = None
    """The progress that the attempt reported last."""
    first_cause: Cause | None = None
    """Why the last failed attempt failed: the cause that explains the others, with its rank, its node and the last lines of its log.
    Memory."""
    kept_output: OutputSeen | None = None
    """What the newest attempt that left anything in $BRAMBLE_OUT left; with `spec.trainer.keptOutput`, the output that is packaged.
    Memory."""
    packaging: StepAttempts | None = None
    """The attempts at packaging the kept output of another run. Memory."""
    package: PackageSeen | None = None
    """The package that training exported. Memory."""
    evaluation: EvaluationSeen | None = None
    """The evaluation of the package. Memory."""
    model_version: str = ""
    """The name of the ModelVersion that was created. Memory."""
    outcome: Outcome | None = None
    """How the run ended. Unset while it is under way. Memory."""


KIND = Kind(
    resource=TRAINING_RUN,
    spec=Spec,
    status=Status,
    description="Trains one model on one frozen dataset, in as many attempts as its budgets allow, and evaluates the result.",
    short_names=("trun",),
    rules=(
        *NAME_RULES,
        Rule(
            "!has(self.spec.trainer) || !has(self.spec.trainer.keptOutput) ||"
            " self.spec.trainer.keptOutput.trainingRunRef.name != self.metadata.name",
            "spec.trainer.keptOutput.trainingRunRef.name: a run cannot package its own output: name the run that trained",
        ),
    ),
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
