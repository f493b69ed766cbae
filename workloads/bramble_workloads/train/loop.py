"""The training loop: epochs of optimiser steps, validation, the best weights and checkpoints. It can stop and resume at any step."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bramble.contracts.hyperparameters import Hyperparameters
from bramble_workloads.errors import SpecError, Stopped, TryAgain
from bramble_workloads.launch.ending import LOST_PEER
from bramble_workloads.tasks.objective import Objective
from bramble_workloads.train import checkpoint, sampling
from bramble_workloads.train.checkpoint import Parts, State
from bramble_workloads.train.precision import Precision
from bramble_workloads.train.progress import Progress
from bramble_workloads.train.randomness import Randomness
from bramble_workloads.train.ranks import Ranks
from bramble_workloads.train.samples import Batch, Source
from bramble_workloads.train.schedule import learning_rate
from bramble_workloads.train.statistics import Statistics
from bramble_workloads.train.stopping import Stopping
from bramble_workloads.train.sums import Sums
from bramble_workloads.train.validation import improved, validate

CHECKPOINT_SHARE = 0.01
"""The share of the time that checkpoints at the end of epochs may take. Where an epoch takes less than a second, not each has one."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The parts of a training run."""

    wanted: Hyperparameters
    seed: int
    ranks: Ranks
    objective: Objective[Any]
    network: nn.Module
    train: Source
    val: Source
    checkpoints: Path
    progress: Progress


class Trainer:
    """Runs a training to its end. It resumes from the newest checkpoint, if there is one.

    Every random number depends only on (seed, epoch, samples consumed, rank). So a run that resumes after any optimiser step gives the
    same weights as one that was never stopped, if its device is deterministic.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._wanted, self._ranks, self._objective = setup.wanted, setup.ranks, setup.objective
        self._randomness = Randomness(setup.ranks.device)
        self._precision = Precision(setup.wanted.mixed_precision, setup.ranks.device)
        network = setup.network
        self._model: nn.Module = network
        if setup.ranks.world_size > 1:
            self._model = DistributedDataParallel(network, device_ids=[setup.ranks.device] if setup.ranks.device.type == "cuda" else None)
        self._parts = Parts(network, make_optimizer(network, setup.wanted), self._precision.scaler, {})
        self.state = State()
        self._whole = True
        self._saved = 0
        self._next_save = -math.inf
        self._statistics = Statistics(network) if setup.ranks.world_size > 1 and setup.ranks.first else None

    def run(self) -> State:
        """Train to the last epoch, or until early stopping. The network then holds the weights of the best epoch.

        Raises:
            SpecError: the loss is infinite or not a number.
            Stopped: SIGTERM reached some rank. All ranks stopped after the same step, and rank 0 wrote a checkpoint of it.
        """
        self.state = checkpoint.restore(self._setup.checkpoints, self._parts, self._ranks.device)
        self._saved = self.state.step
        self._keep_statistics()
        self._require_same_step()
        with Stopping(self._ranks) as stopping, _SaveLastStep(self):  # another SIGTERM does not end the rank while it saves
            while self.state.epoch < self._wanted.epochs and not self._done():
                began, before = time.monotonic(), self.state.consumed
                sums = self._epoch(stopping)
                self._close_epoch(sums, time.monotonic() - began, len(self._setup.train) - before, stopping)
        if self._parts.best:
            self._setup.network.load_state_dict(self._parts.best)
        return self.state

    def save(self) -> None:
        """In rank 0, write a checkpoint of the last complete optimiser step, unless it exists."""
        if self._ranks.first and self._whole and self.state.step != self._saved:
            began = time.monotonic()
            checkpoint.save(self._setup.checkpoints, self.state, self._parts)
            self._saved, ended = self.state.step, time.monotonic()
            self._next_save = ended + (ended - began) / CHECKPOINT_SHARE

    def save_after_loss(self) -> None:
        """The same where a peer was lost, perhaps within a step. The weights change only at the end of a step; the statistics do not."""
        if self._statistics is not None:
            self._statistics.restore()
        self.save()

    def _keep_statistics(self) -> None:
        if self._statistics is not None:
            self._statistics.keep()

    def _done(self) -> bool:
        stopping = self._wanted.early_stopping
        return stopping is not None and self.state.stale >= stopping.patience

    def _require_same_step(self) -> None:
        """Check that every node restored the same step; otherwise the ranks would train different weights."""
        steps = self._ranks.total(torch.tensor([self.state.step], dtype=torch.float64, device=self._ranks.device))
        if int(steps.item()) != self.state.step * self._ranks.world_size:
            raise CheckpointsDiffer(f"this node restored step {self.state.step}, and another node restored a different one")

    def _epoch(self, stopping: Stopping) -> Sums:
        """Take optimiser steps until the epoch's samples are used up; return the sums of this rank."""
        state, wanted, ranks = self.state, self._wanted, self._ranks
        self._model.train()
        sums = Sums(self._objective.figures, ranks.device)
        order = sampling.epoch_order(len(self._setup.train), self._setup.seed, state.epoch)
        indices = sampling.batches(order, wanted.batch_size, ranks.rank, ranks.world_size, state.consumed)
        whole, began, start = wanted.batch_size * ranks.world_size, time.monotonic(), state.consumed
        for group in _grouped(self._setup.train.batches(indices), wanted.grad_accumulation):
            seen = min(len(self._setup.train), state.consumed + whole * len(group))
            self._step(group, seen, sums)
            state.consumed = seen
            state.step += 1
            self._keep_statistics()
            self._whole = True
            if ranks.first:
                self._setup.progress.first_step(state.epoch)
                if self._setup.progress.due():
                    self._report_within_epoch(sums, (state.consumed - start) / (time.monotonic() - began))
            stopping.after_step()
        stopping.settle()
        return sums

    def _step(self, group: list[Batch], seen: int, sums: Sums) -> None:
        """Take one optimiser step with a group of batches, after which `seen` samples of the epoch are used up."""
        state, wanted, samples = self.state, self._wanted, len(self._setup.train)
        rate = learning_rate(state.epoch + state.consumed / samples, state.epoch + seen / samples, wanted)
        for settings in self._parts.optimizer.param_groups:
            settings["lr"] = rate
        self._randomness.seed(self._setup.seed, state.epoch, state.consumed, self._ranks.rank)
        self._parts.optimizer.zero_grad(set_to_none=True)
        for number, batch in enumerate(group, start=1):
            inputs, targets = self._objective.prepare(batch.inputs, batch.targets, self._randomness.cpu)
            last = number == len(group)
            with contextlib.nullcontext() if last or self._ranks.world_size == 1 else self._model.no_sync():  # type: ignore[operator]
                with self._precision.autocast():
                    outputs = self._model(inputs)
                    losses = self._objective.losses(outputs, targets, training=True)
                    loss = torch.dot(losses, batch.weights / (batch.weights.sum() * len(group)))
                self._precision.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                sums.add(losses, self._objective.measure(outputs, targets))
        self._whole = False
        self._precision.step(self._parts.optimizer, self._setup.network, wanted.clip_norm)

    def _close_epoch(self, sums: Sums, seconds: float, samples: int, stopping: Stopping) -> None:
        """Validate, keep the weights if they are the best so far, save a checkpoint if one is due, and report progress."""
        state = self.state
        metrics = _of_training(sums.means(self._ranks))
        self._ranks.share(self._setup.network)
        metrics |= validate(self._setup.network, self._objective, self._setup.val, self._ranks, self._wanted.batch_size, stopping)
        for split, name in (("train", "trainLoss"), ("val", "loss")):
            if not math.isfinite(found := metrics.get(name, 0.0)):
                advice = "lower learningRate, or set clipNorm or warmupEpochs"
                raise SpecError(f"the loss on {split} is {found} after epoch {state.epoch + 1}: {advice}")
        metrics["samplesPerSecond"] = samples / max(seconds, 1e-9)
        state.metrics = metrics
        self._whole = False  # weights, best weights and state do not match until the end of this method, so no checkpoint may be written
        if improved(metrics, state.best, self._wanted, self._objective.figures):
            state.best, state.best_epoch, state.stale = metrics, state.epoch, 0
            self._parts.best.update(checkpoint.weights_of(self._setup.network))
        else:
            state.stale += 1
        state.epoch, state.consumed = state.epoch + 1, 0
        self._whole, self._saved = True, -1
        left = 0 if self._done() else self._wanted.epochs - state.epoch
        if not left or time.monotonic() >= self._next_save:
            self.save()
        if self._ranks.first:
            whole = seconds * len(self._setup.train) / samples if samples else None  # this attempt may have begun within the epoch
            self._setup.progress.write(state.epoch, metrics, left * whole if whole is not None else None)
            text = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            print(f"epoch {state.epoch}/{self._wanted.epochs}: {text}", flush=True)  # noqa: T201

    def _report_within_epoch(self, sums: Sums, speed: float) -> None:
        state, total = self.state, len(self._setup.train)
        metrics = {**_of_training(sums.means()), "samplesPerSecond": speed}
        left = (total - state.consumed) + (self._wanted.epochs - state.epoch - 1) * total
        self._setup.progress.write(state.epoch, metrics, left / max(speed, 1e-9))


class CheckpointsDiffer(TryAgain):
    """The nodes of one attempt restored different checkpoints. A new attempt fetches them again."""


class _SaveLastStep:
    """When the ranks stop, or a peer is lost, saves the last complete step."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Stopped):
            self._trainer.save()
        elif LOST_PEER.search(str(error)):
            self._trainer.save_after_loss()


def make_optimizer(network: nn.Module, wanted: Hyperparameters) -> torch.optim.Optimizer:
    """Make the optimiser of all trainable weights. On the CPU it is the fused one, which takes a quarter to a half of the time."""
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    fused = True if all(weight.device.type == "cpu" for weight in weights) else None
    if wanted.optimizer == "sgd":
        momentum, decay = wanted.momentum, wanted.weight_decay
        return torch.optim.SGD(weights, lr=wanted.learning_rate, momentum=momentum, weight_decay=decay, fused=fused)
    kind = torch.optim.AdamW if wanted.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, lr=wanted.learning_rate, weight_decay=wanted.weight_decay, fused=fused)


def _of_training(metrics: dict[str, float]) -> dict[str, float]:
    """The same values under the names that they have when they are measured on the train split, such as `trainLoss`."""
    return {f"train{name[0].upper()}{name[1:]}": value for name, value in metrics.items()}


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches; the last may be shorter."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
