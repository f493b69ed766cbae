"""What the built-in training loop costs over plain PyTorch: the same network, data, batches, augmentation and optimiser, in one process.

The plain loop is what a textbook has: forward, cross entropy, backward, a step of `torch.optim.AdamW` as it comes, with the training loss
and accuracy added up, and after each epoch a validation and a checkpoint of weights and optimiser. The built-in one adds sharding,
schedules, early stopping, progress, the best weights, and checkpoints that resume after any step; its optimiser is the fused form of the
same one. The two alternate within one run, each first in every other pair, with one thread as a rank has, and are compared by the seconds
of the processor that they take. Prints JSON; exits 1 when a median is above the goal.

Usage: python benchmarks/training_loop.py [--only NETWORK]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import zipfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.start_overhead import layout
from bramble.contracts.tasks.classification import CLASSIFICATION, ClassifierHyperparameters, ClassifierTrainer
from bramble_workloads.tasks.catalogue import task_of
from bramble_workloads.tasks.objective import Objective
from bramble_workloads.train import sampling
from bramble_workloads.train.images import MOMENTS, Normalizer, augment
from bramble_workloads.train.loop import Setup, Trainer
from bramble_workloads.train.program import objective_of
from bramble_workloads.train.progress import Progress
from bramble_workloads.train.ranks import Ranks
from bramble_workloads.train.samples import Sample, Source, read_samples

GOAL = 1.02


class Case(NamedTuple):
    """A training to measure. `samples` are taken of the train split, and a quarter as many of val."""

    trainer: ClassifierTrainer
    wanted: ClassifierHyperparameters
    samples: int
    pairs: int


CASES = {
    "small-cnn": Case(
        ClassifierTrainer(architecture="small-cnn", image_size=16, channels="L"),
        ClassifierHyperparameters(epochs=8, batch_size=32, learning_rate=0.003),
        samples=1200,
        pairs=60,
    ),
    "efficientnet-lite0": Case(
        ClassifierTrainer(architecture="efficientnet_lite0", image_size=96, channels="RGB"),
        ClassifierHyperparameters(epochs=1, batch_size=16, learning_rate=0.003),
        samples=192,
        pairs=11,
    ),
}


class Training(NamedTuple):
    """What both loops work on."""

    case: Case
    objective: Objective[Any]
    train: Source
    val: Source


def training(case: Case, folder: Path) -> Training:
    """Collection 2 in memory, for one case."""
    samples = read_samples(folder, CLASSIFICATION)

    def source(split: tuple[Sample, ...], most: int) -> Source:
        return Source(split[:most], objective, torch.device("cpu"), 0)

    truths = [sample.truth for sample in samples.train]
    objective = objective_of(task_of(CLASSIFICATION.name))(case.trainer, case.wanted, samples.classes, truths)
    return Training(case, objective, source(samples.train, case.samples), source(samples.val, case.samples // 4))


def built_in(given: Training, folder: Path) -> float:
    """Seconds of the processor that the product's own loop takes, with its checkpoints, validation and progress."""
    wanted, ranks = given.case.wanted, Ranks({})
    progress = Progress(folder / "progress.jsonl", wanted.epochs, ranks.name, 1)
    network = given.objective.network()
    setup = Setup(wanted, 0, ranks, given.objective, network, given.train, given.val, folder / "checkpoints", progress)
    began = time.process_time()
    Trainer(setup).run()
    return time.process_time() - began


def plain(given: Training, folder: Path) -> float:
    """Seconds of the processor that the loop of a textbook takes."""
    wanted, train, val = given.case.wanted, given.train, given.val
    network, normalize = given.objective.network(), Normalizer(*MOMENTS[given.case.trainer.channels])
    optimizer = torch.optim.AdamW(network.parameters(), lr=wanted.learning_rate, weight_decay=wanted.weight_decay)
    generator = torch.Generator().manual_seed(0)
    began = time.process_time()
    for epoch in range(wanted.epochs):
        network.train()
        loss_sum, right = torch.zeros(()), torch.zeros(())
        for batch in train.batches(sampling.batches(sampling.epoch_order(len(train), 0, epoch), wanted.batch_size, 0, 1)):
            optimizer.zero_grad()
            logits = network(normalize(augment(batch.inputs, wanted.augment, generator)))
            loss = nn.functional.cross_entropy(logits, batch.targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += loss.detach() * len(logits)
            right += logits.argmax(1).eq(batch.targets).sum()
        network.eval()
        with torch.no_grad():
            for batch in val.batches(sampling.batches(sampling.epoch_order(len(val), 0, 0), wanted.batch_size, 0, 1)):
                logits = network(normalize(batch.inputs))
                nn.functional.cross_entropy(logits, batch.targets).item()
                logits.argmax(1).eq(batch.targets).sum().item()
        torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, folder / "checkpoint.pt")
    return time.process_time() - began


def measure(name: str, data: Path) -> dict[str, Any]:
    """Alternate the two in this process."""
    given = training(CASES[name], data)
    mine, theirs = [], []
    for number in range(given.case.pairs + 1):
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):  # its line an epoch
            place = Path(folder)
            (place / "checkpoints").mkdir()
            if number % 2:
                first, second = built_in(given, place), plain(given, place)
            else:
                second, first = plain(given, place), built_in(given, place)
        if number:  # the first pair warms up
            mine.append(first)
            theirs.append(second)
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return {
        "pairs": given.case.pairs,
        "builtInSeconds": round(statistics.median(mine), 3),
        "plainSeconds": round(statistics.median(theirs), 3),
        "ratio": round(statistics.median(ratios), 3),
        "quartiles": [round(value, 3) for value in statistics.quantiles(ratios, n=4)],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(CASES), help="measure this network alone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(io.BytesIO(layout("2"))) as archive:
            archive.extractall(name)
        found = {network: measure(network, Path(name)) for network in ([asked.only] if asked.only else CASES)}
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "torch": torch.__version__}
    print(json.dumps({**found, "goal": GOAL, "machine": machine}, indent=2))
    return int(any(each["ratio"] > GOAL for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
