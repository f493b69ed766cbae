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
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bramble.contracts.hyperparameters import Hyperparameters
from bramble_workloads.errors import SpecError, Stopped, TryAgain
from bramble_workloads.launch.ending import LOST_PEER
from bramble_workloads.tasks.objective import Objective
from bramble_workloads.train import checkpoint, sampling
from bramble_workloads.train.checkpoint import Parts, State
from bramble_workloads.train.precision import Precision
from bramble_workloads.train.progress import Progress
from bramble_workloads.train.ranks import Ranks
from bramble_workloads.train.samples import Batch, Source
from bramble_workloads.train.schedule import learning_rate
from bramble_workloads.train.stopping import Stopping
from bramble_workloads.train.validation import improved, means_of, sums_of, validate


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
        self._train_names = [_of_training(name) for name in ("loss", *setup.objective.figures)]
        self._precision = Precision(setup.wanted.mixed_precision, setup.ranks.device)
        network = setup.network
        self._model: nn.Module = network
        if setup.ranks.world_size > 1:
            self._model = DistributedDataParallel(network, device_ids=[setup.ranks.device] if setup.ranks.device.type == "cuda" else None)
        self._parts = Parts(network, make_optimizer(network, setup.wanted), self._precision.scaler, {})
        self.state = State()
        self._whole = True
        self._saved = 0
        self._buffers = list(network.buffers())
        self._before = [buffer.clone() for buffer in self._buffers]

    def run(self) -> State:
        """Train to the last epoch, or until early stopping. The network then holds the weights of the best epoch.

        Raises:
            SpecError: the loss is infinite or not a number.
            Stopped: SIGTERM reached some rank. All ranks stopped after the same step, and rank 0 wrote a checkpoint of it.
        """
        self.state = checkpoint.restore(self._setup.checkpoints, self._parts, self._ranks.device)
        self._saved = self.state.step
        self._copy(self._buffers, self._before)
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
            checkpoint.save(self._setup.checkpoints, self.state, self._parts)
            self._saved = self.state.step

    def restore_statistics(self) -> None:
        """Restore the running statistics from before an unfinished step. The weights change only at the end of a step."""
        self._copy(self._before, self._buffers)

    @staticmethod
    def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
        if sources:
            torch._foreach_copy_(targets, sources)

    def _done(self) -> bool:
        stopping = self._wanted.early_stopping
        return stopping is not None and self.state.stale >= stopping.patience

    def _require_same_step(self) -> None:
        """Check that every node restored the same step; otherwise the ranks would train different weights."""
        steps = self._ranks.total(torch.tensor([self.state.step], dtype=torch.float64, device=self._ranks.device))
        if int(steps.item()) != self.state.step * self._ranks.world_size:
            raise CheckpointsDiffer(f"this node restored step {self.state.step}, and another node restored a different one")

    def _epoch(self, stopping: Stopping) -> Tensor:
        """Take optimiser steps until the epoch's samples are used up; return the sums of this rank (`sums_of`)."""
        state, wanted, ranks = self.state, self._wanted, self._ranks
        self._model.train()
        sums = torch.zeros(2 + len(self._objective.figures), dtype=torch.float64, device=ranks.device)
        order = sampling.epoch_order(len(self._setup.train), self._setup.seed, state.epoch)
        indices = sampling.batches(order, wanted.batch_size, ranks.rank, ranks.world_size, state.consumed)
        whole, began, start = wanted.batch_size * ranks.world_size, time.monotonic(), state.consumed
        for group in _grouped(self._setup.train.batches(indices), wanted.grad_accumulation):
            seen = min(len(self._setup.train), state.consumed + whole * len(group))
            self._step(group, seen, sums)
            state.consumed = seen
            state.step += 1
            self._copy(self._buffers, self._before)
            self._whole = True
            if ranks.first:
                self._setup.progress.first_step(state.epoch)
                if self._setup.progress.due():
                    self._report_within_epoch(sums, (state.consumed - start) / (time.monotonic() - began))
            stopping.after_step()
        stopping.settle()
        return sums

    def _step(self, group: list[Batch], seen: int, sums: Tensor) -> None:
        """Take one optimiser step with a group of batches, after which `seen` samples of the epoch are used up."""
        state, wanted, samples = self.state, self._wanted, len(self._setup.train)
        rate = learning_rate(state.epoch + state.consumed / samples, state.epoch + seen / samples, wanted)
        for settings in self._parts.optimizer.param_groups:
            settings["lr"] = rate
        chance = sampling.seed_of(self._setup.seed, state.epoch, state.consumed, self._ranks.rank)
        torch.manual_seed(chance)  # for dropout and other random layers
        generator = torch.Generator().manual_seed(chance)
        self._parts.optimizer.zero_grad(set_to_none=True)
        for number, batch in enumerate(group, start=1):
            inputs, targets = self._objective.prepare(batch.inputs, batch.targets, generator)
            last = number == len(group)
            with contextlib.nullcontext() if last or self._ranks.world_size == 1 else self._model.no_sync():  # type: ignore[operator]
                with self._precision.autocast():
                    outputs = self._model(inputs)
                    losses = self._objective.losses(outputs, targets, training=True)
                    loss = (losses * batch.weights).sum() / batch.weights.sum() / len(group)
                self._precision.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                sums += sums_of(losses.detach(), self._objective.measure(outputs, targets))
        self._whole = False
        self._precision.step(self._parts.optimizer, self._setup.network, wanted.clip_norm)

    def _close_epoch(self, sums: Tensor, seconds: float, samples: int, stopping: Stopping) -> None:
        """Validate, keep the weights if they are the best so far, save a checkpoint, and report progress."""
        state = self.state
        metrics = means_of(self._ranks.total(sums), self._train_names)
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
        self.save()
        if self._ranks.first:
            left = 0 if self._done() else self._wanted.epochs - state.epoch
            whole = seconds * len(self._setup.train) / samples if samples else None  # this attempt may have begun within the epoch
            self._setup.progress.write(state.epoch, metrics, left * whole if whole is not None else None)
            text = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            print(f"epoch {state.epoch}/{self._wanted.epochs}: {text}", flush=True)  # noqa: T201

    def _report_within_epoch(self, sums: Tensor, speed: float) -> None:
        state, total = self.state, len(self._setup.train)
        metrics = {**means_of(sums, self._train_names), "samplesPerSecond": speed}
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
            self._trainer.restore_statistics()
            self._trainer.save()


def make_optimizer(network: nn.Module, wanted: Hyperparameters) -> torch.optim.Optimizer:
    """Make the optimiser of all trainable weights."""
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if wanted.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=wanted.learning_rate, momentum=wanted.momentum, weight_decay=wanted.weight_decay)
    kind = torch.optim.AdamW if wanted.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, lr=wanted.learning_rate, weight_decay=wanted.weight_decay)


def _of_training(name: str) -> str:
    """The name of a metric when it is measured on the train split: `trainLoss`."""
    return f"train{name[0].upper()}{name[1:]}"


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
