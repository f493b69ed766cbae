"""What the built-in training loop costs over plain PyTorch: the same net, data, batches, augmentation and optimiser, in one process.

The plain loop is what a textbook has: forward, cross entropy, backward, step. The built-in one adds sharding, schedules, checkpoints and
progress. The two alternate within one run. Prints JSON.

Usage: python benchmarks/training_loop.py [--rounds N]
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
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.start_overhead import layout
from bramble.contracts.tasks.classification import CLASSIFICATION, ClassifierHyperparameters, ClassifierTrainer
from bramble_workloads.tasks.catalogue import task_of
from bramble_workloads.tasks.objective import Objective
from bramble_workloads.train import sampling
from bramble_workloads.train.images import MOMENTS, Normalizer, augment
from bramble_workloads.train.loop import Setup, Trainer, make_optimizer
from bramble_workloads.train.program import objective_of
from bramble_workloads.train.progress import Progress
from bramble_workloads.train.ranks import Ranks
from bramble_workloads.train.samples import Source, read_samples

EPOCHS = 8
TRAINER = ClassifierTrainer(architecture="small-cnn", image_size=16, channels="L")
HYPERPARAMETERS = ClassifierHyperparameters(epochs=EPOCHS, batch_size=32, learning_rate=0.003)


def data(folder: Path) -> tuple[Objective[Any], Source, Source]:
    """Collection 2 in memory: what is trained on it, train and val."""
    with zipfile.ZipFile(io.BytesIO(layout("2"))) as archive:
        archive.extractall(folder)
    samples = read_samples(folder, CLASSIFICATION)
    truths = [sample.truth for sample in samples.train]
    objective = objective_of(task_of(CLASSIFICATION.name))(TRAINER, HYPERPARAMETERS, samples.classes, truths)
    train, val = (Source(split, objective, torch.device("cpu"), 0) for split in (samples.train, samples.val))
    return objective, train, val


def built_in(objective: Objective[Any], train: Source, val: Source, folder: Path) -> float:
    """Seconds of the product's own loop, with its checkpoints, validation and progress."""
    ranks = Ranks({})
    progress = Progress(folder / "progress.jsonl", EPOCHS, ranks.name, 1)
    setup = Setup(HYPERPARAMETERS, 0, ranks, objective, objective.network(), train, val, folder / "checkpoints", progress)
    began = time.perf_counter()
    Trainer(setup).run()
    return time.perf_counter() - began


def plain(objective: Objective[Any], train: Source, val: Source) -> float:
    """Seconds of the loop of a textbook, with the same augmentation and a validation an epoch."""
    network, normalize = objective.network(), Normalizer(*MOMENTS["L"])
    optimizer, generator = make_optimizer(network, HYPERPARAMETERS), torch.Generator().manual_seed(0)
    began = time.perf_counter()
    for epoch in range(EPOCHS):
        network.train()
        for batch in train.batches(sampling.batches(sampling.epoch_order(len(train), 0, epoch), HYPERPARAMETERS.batch_size, 0, 1)):
            optimizer.zero_grad()
            logits = network(normalize(augment(batch.inputs, HYPERPARAMETERS.augment, generator)))
            nn.functional.cross_entropy(logits, batch.targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        with torch.no_grad():
            for batch in val.batches(sampling.batches(sampling.epoch_order(len(val), 0, 0), HYPERPARAMETERS.batch_size, 0, 1)):
                network(normalize(batch.inputs)).argmax(1).eq(batch.targets).sum().item()
    return time.perf_counter() - began


def measure(rounds: int) -> dict[str, Any]:
    """Alternate the two in this process; one thread, as a rank has."""
    torch.set_num_threads(1)
    mine, theirs = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objective, train, val = data(folder / "data")
        for number in range(rounds + 1):
            place = folder / str(number)
            (place / "checkpoints").mkdir(parents=True)
            with redirect_stdout(io.StringIO()):  # its line an epoch
                first = built_in(objective, train, val, place)
            second = plain(objective, train, val)
            if number:  # the first round warms up
                mine.append(first)
                theirs.append(second)
    ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
    return {
        "builtInSeconds": [round(value, 3) for value in mine],
        "plainSeconds": [round(value, 3) for value in theirs],
        "ratio": round(ratio, 3),
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "torch": torch.__version__},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    found = measure(parser.parse_args().rounds)
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
