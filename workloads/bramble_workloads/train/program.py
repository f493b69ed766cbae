"""The built-in program in one rank: read the samples, train, export. The launcher runs `main` in each rank."""

from __future__ import annotations

import json
import os
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn

from bramble.contracts.hyperparameters import Hyperparameters
from bramble_workloads.errors import SpecError
from bramble_workloads.export import export
from bramble_workloads.limits import usable_cores
from bramble_workloads.tasks.base import Task
from bramble_workloads.tasks.catalogue import task_of
from bramble_workloads.tasks.objective import Objective
from bramble_workloads.train import checkpoint, sampling
from bramble_workloads.train.decoded import room
from bramble_workloads.train.dry_run import require_fit
from bramble_workloads.train.entry import Specified
from bramble_workloads.train.loop import Setup, Trainer, make_optimizer
from bramble_workloads.train.progress import Progress
from bramble_workloads.train.ranks import Ranks
from bramble_workloads.train.samples import Source, read_samples
from bramble_workloads.train.validation import graph_outputs

MOST_LOADERS = 16
"""The most loader processes of a rank, however many cores the node has. Each of them holds batches in memory."""


def warm_up() -> None:
    """Import, once for all ranks of a node, what torch imports only for the first optimiser. It takes as long as torch itself."""
    make_optimizer(nn.Linear(1, 1), Hyperparameters())


def objective_of(task: Task[Any, Any]) -> type[Objective[Any]]:
    """The torch part of a task.

    Raises:
        SpecError: the task has no built-in training.
    """
    if task.objective is None:
        raise SpecError(f"trainer.builtin.task: there is no built-in program for {task.contract.name}; use trainer.container")
    found: type[Objective[Any]] = resolve_name(task.objective)
    return found


def main(specified: Specified, seed: int) -> int:
    """Train and export. Returns 0, or raises an exception, whose `code` is the exit code."""
    torch.manual_seed(seed)
    trainer, wanted = specified
    task = task_of(trainer.task)
    samples = read_samples(Path(os.environ["BRAMBLE_DATA"]), task.contract)
    objective = objective_of(task)(trainer, wanted, samples.classes, [sample.truth for sample in samples.train])
    network = objective.network()
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    require_fit(network, objective, samples.train[0].truth, sampling.smallest_batch(len(samples.train), wanted.batch_size, world_size))
    ranks = Ranks()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    loaders = min(MOST_LOADERS, max(1, usable_cores() // processes))
    space = room(processes) if wanted.epochs > 1 else 0  # with one epoch, nothing is decoded twice
    train = Source(samples.train, objective, ranks.device, loaders, space)
    setup = Setup(
        wanted=wanted,
        seed=seed,
        ranks=ranks,
        objective=objective,
        network=network.to(ranks.device),
        train=train,
        val=Source(samples.val, objective, ranks.device, loaders, space - train.decoded_bytes),
        checkpoints=Path(os.environ["BRAMBLE_CHECKPOINTS"]),
        progress=Progress(Path(os.environ["BRAMBLE_PROGRESS"]) if ranks.first else None, wanted.epochs, ranks.name, ranks.world_size),
    )
    state = Trainer(setup).run()
    ranks.leave()  # before the export, which only rank 0 makes, so that the other ranks do not wait for it
    if ranks.first:
        _export(setup, task, state)
    return 0


def _export(setup: Setup, task: Task[Any, Any], state: checkpoint.State) -> None:
    """Write the model, its description fitted on the validation split, its weights and a summary of the training."""
    objective = setup.objective
    outputs = graph_outputs(setup.network, objective, setup.val, setup.wanted.batch_size)
    description = task.fit(objective.describe(), outputs, setup.val.truths)
    network = objective.exported(setup.network.to("cpu")).eval()
    out = Path(os.environ["BRAMBLE_OUT"])
    export(network, torch.zeros(description.input.tensor.shape, dtype=getattr(torch, description.input.tensor.dtype)), description, out)
    checkpoint.save_weights(setup.network, out / "weights.safetensors")
    summary = {"metrics": state.best or state.metrics, "epochs": state.epoch, "device": setup.ranks.name}
    (out / "training.json").write_text(json.dumps(summary))
    setup.progress.write(state.epoch, state.best or state.metrics, 0.0, "exported")
