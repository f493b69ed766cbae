"""The children of a TrainingRun: a Service for names, a Job an attempt, the evaluation's step, and the ModelVersion."""

from __future__ import annotations

from typing import Any

from bramble.api.labels import ATTEMPT, OWNER_UID, STEP, child_name
from bramble.api.modelversion import object_name
from bramble.api.trainingrun import Container, EnvVar, Spec
from bramble.contracts.jobs.base import Gateway, inputs_digest
from bramble.contracts.jobs.evaluate import EvaluateJob, Gate
from bramble.contracts.jobs.train import BuiltinTrainer, ContainerTrainer, TrainJob
from bramble.contracts.store import filed_result_key
from bramble.kinds.jobs.pod_template import child_metadata
from bramble.kinds.jobs.step import Owner, Step
from bramble.kinds.plan import Apply, CreateOnce
from bramble.kinds.trainingrun.observed import Observed
from bramble.kinds.trainingrun.world import gpus, processes, torchrun
from bramble.kube.resources import MODEL_VERSION, SERVICE

TRAIN = "train"
EVALUATE = "evaluate"
MASTER_PORT = 29400


def service_name(owner: Owner) -> str:
    """The headless Service that gives every pod of every attempt a name of its own."""
    return child_name(owner.name, TRAIN)


def service(owner: Owner) -> Apply:
    """Names for pods that are not ready yet: ranks look for each other before any of them is."""
    selector = {OWNER_UID: owner.uid, STEP: TRAIN}
    labels = {name: value for name, value in owner.labels(TRAIN, 0).items() if name != ATTEMPT}
    return Apply(
        {
            "apiVersion": SERVICE.api_version,
            "kind": SERVICE.kind,
            "metadata": child_metadata(owner, service_name(owner), labels),
            "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector},
        }
    )


def image_of(seen: Observed) -> str:
    """The image that trains."""
    container = seen.spec.trainer.container
    return container.image if container is not None else seen.settings.images_train


def train_job(seen: Observed, *, attempt: int, nodes: int, cpu_allowed: bool) -> TrainJob:
    """What an attempt is told."""
    owner, spec, pin = seen.owner, seen.spec, seen.status.dataset
    if pin is None:
        raise ValueError(f"TrainingRun {owner.namespace}/{owner.name} has no pinned dataset: an attempt cannot be rendered")
    template, container, builtin = spec.model_version, spec.trainer.container, spec.trainer.builtin
    run = {"namespace": owner.namespace, "name": owner.name, "uid": owner.uid}
    return TrainJob(
        object=owner.ref,
        attempt=attempt,
        prefix=owner.prefix(TRAIN, attempt),
        gateway=Gateway(url=seen.settings.gateway_url),
        manifest=pin.version,
        builtin=BuiltinTrainer.model_validate(builtin.model_dump()) if builtin is not None else None,
        container=_container(container) if container is not None else None,
        hyperparameters=spec.hyperparameters,
        nodes=nodes,
        processes_per_node=processes(spec),
        master=f"{owner.job_name(TRAIN, attempt)}-0.{service_name(owner)}",
        master_port=MASTER_PORT,
        gpus_per_node=gpus(spec),
        cpu_allowed=cpu_allowed,
        seed=_seed(spec),
        resume_from=tuple(owner.prefix(TRAIN, number) for number in range(attempt, 0, -1)),
        model=template.model if template is not None else owner.name,
        version=template.version if template is not None else "0.0.0",
        lineage={"run": run, "dataset": pin.version, "image": image_of(seen)},
    )


def _container(container: Container) -> ContainerTrainer:
    return ContainerTrainer(command=container.command, args=container.args, data_format=container.data_format)


def _seed(spec: Spec) -> int:
    seed = spec.hyperparameters.get("seed", 0)
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else 0


def filed_key(seen: Observed) -> str:
    """Where a result of the same inputs is filed, whoever trained it. Empty where the inputs do not tell the result.

    The number of nodes is the spec's, not what an attempt had left; who asks, and whether the CPU stood in, say nothing of what was
    wanted. A user's image without a digest may be another one tomorrow.
    """
    if seen.status.dataset is None:
        return ""
    container, image = seen.spec.trainer.container, image_of(seen)
    if "@sha256:" not in image:
        return ""
    job = train_job(seen, attempt=1, nodes=torchrun(seen.spec).nodes, cpu_allowed=False)
    env: tuple[EnvVar, ...] = container.env if container is not None else ()
    identity = job.model_copy(update={"lineage": {"env": [each.model_dump() for each in env]}})
    return filed_result_key(TRAIN, inputs_digest(identity, image))


def evaluate_step(seen: Observed, attempt: int) -> Step | None:
    """The attempt at the evaluation of the package on the pinned test split; None before there is a package."""
    owner, package, pin = seen.owner, seen.status.package, seen.status.dataset
    if package is None or pin is None:
        return None
    wanted = seen.spec.evaluation
    job = EvaluateJob(
        object=owner.ref,
        attempt=attempt,
        prefix=owner.prefix(EVALUATE, attempt),
        gateway=Gateway(url=seen.settings.gateway_url),
        package=package.digest,
        manifest=pin.version,
        slices=wanted.slices,
        gates=tuple(Gate.model_validate(gate.model_dump()) for gate in wanted.gates),
    )
    return Step(owner=owner, job=job, image=seen.settings.images_convert, gateway_ca=seen.gateway_ca)


def evaluate_filed_key(step: Step) -> str:
    """Where the result of the same evaluation is filed."""
    return filed_result_key(EVALUATE, inputs_digest(step.job, step.image))


def model_version_name(spec: Spec) -> str | None:
    """Of the ModelVersion that a successful run makes; None when none is wanted."""
    return object_name(spec.model_version.model, spec.model_version.version) if spec.model_version is not None else None


def model_version(seen: Observed) -> CreateOnce | None:
    """The ModelVersion: no owner reference, since deleting a run must never delete a model that serves."""
    name, template, owner = model_version_name(seen.spec), seen.spec.model_version, seen.owner
    if name is None or template is None:
        return None
    spec: dict[str, Any] = template.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    labels = {label: value for label, value in owner.labels(TRAIN, 0).items() if label not in (STEP, ATTEMPT)}
    return CreateOnce(
        {
            "apiVersion": MODEL_VERSION.api_version,
            "kind": MODEL_VERSION.kind,
            "metadata": {"name": name, "namespace": owner.namespace, "labels": labels},
            "spec": {**spec, "source": {"trainingRunRef": {"name": owner.name}}},
        }
    )
