"""What an attempt is told in its `job.json`, and where a result of the same inputs is filed. Pure."""

from __future__ import annotations

from bramble.api.trainer import Container, EnvVar
from bramble.api.trainingrun import Spec
from bramble.contracts.jobs.base import Gateway, inputs_digest
from bramble.contracts.jobs.train import ContainerTrainer, TrainJob
from bramble.contracts.store import filed_result_key
from bramble.kinds.trainingrun.attempt import TRAIN
from bramble.kinds.trainingrun.engines.base.engine import Engine
from bramble.kinds.trainingrun.images import train_image
from bramble.kinds.trainingrun.model_version import model_and_version
from bramble.kinds.trainingrun.nodes import gpus
from bramble.kinds.trainingrun.observed import Observed


def train_job(seen: Observed, engine: Engine, *, attempt: int, nodes: int, cpu_allowed: bool) -> TrainJob:
    """The `job.json` of an attempt.

    Raises:
        ValueError: no dataset is pinned yet.
    """
    owner, spec, pin = seen.owner, seen.spec, seen.status.dataset
    if pin is None:
        raise ValueError(f"TrainingRun {owner.namespace}/{owner.name} has no pinned dataset: an attempt cannot be rendered")
    container, builtin = spec.trainer.container, spec.trainer.builtin
    model, version = model_and_version(seen)
    run = {"namespace": owner.namespace, "name": owner.name, "uid": owner.uid}
    return TrainJob(
        object=owner.ref,
        attempt=attempt,
        prefix=owner.prefix(TRAIN, attempt),
        gateway=Gateway(url=seen.settings.gateway_url),
        manifest=pin.version,
        builtin=builtin.job_trainer() if builtin is not None else None,
        container=_container(container) if container is not None else None,
        hyperparameters=spec.hyperparameters,
        nodes=nodes,
        processes_per_node=engine.processes(spec),
        engine=engine.settings.NAME,
        engine_settings=dict(engine.launch_settings(seen, attempt)),
        gpus_per_node=gpus(spec),
        cpu_allowed=cpu_allowed,
        seed=_seed(spec),
        resume_from=tuple(owner.prefix(TRAIN, number) for number in range(attempt, 0, -1)),
        model=model,
        version=version,
        lineage={"run": run, "dataset": pin.version, "image": train_image(seen)},
    )


def _container(container: Container) -> ContainerTrainer:
    return ContainerTrainer(command=container.command, args=container.args)


def _seed(spec: Spec) -> int:
    seed = spec.hyperparameters.get("seed", 0)
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else 0


def filed_key(seen: Observed, engine: Engine) -> str:
    """Where a result of the same inputs is filed, whichever run made it. Empty if the inputs do not determine the result.

    The inputs are those of the spec: the number of nodes that it asks for, not the number that an attempt had. A user's image without a
    digest does not determine a result, since the tag may name another image tomorrow.
    """
    if seen.status.dataset is None:
        return ""
    container, image = seen.spec.trainer.container, train_image(seen)
    if "@sha256:" not in image:
        return ""
    job = train_job(seen, engine, attempt=1, nodes=engine.size(seen.spec, (), disrupted=False), cpu_allowed=False)
    env: tuple[EnvVar, ...] = container.env if container is not None else ()
    inputs = job.model_copy(update={"lineage": {"env": [each.model_dump() for each in env]}})
    return filed_result_key(TRAIN, inputs_digest(inputs, image))
