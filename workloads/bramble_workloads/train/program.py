"""Rank by rank, the whole built-in program: read, train, export. `main` is what the launcher runs in each rank."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bramble.contracts.hyperparameters import Hyperparameters
from bramble.contracts.jobs.train import BuiltinTrainer
from bramble.contracts.package import Classify, Crop, Decode, ImageInput, ModelDescription, Normalize, Output, Resize, Tensor
from bramble_workloads.export import INPUT, OUTPUT, export
from bramble_workloads.temperature import fit_temperature
from bramble_workloads.train import architectures, checkpoint
from bramble_workloads.train.loop import Setup, Trainer, make_optimizer
from bramble_workloads.train.pictures import Source, read_samples
from bramble_workloads.train.progress import Progress
from bramble_workloads.train.ranks import Ranks
from bramble_workloads.train.validation import Normalizer, predict

MOMENTS = {"L": ((0.5,), (0.5,)), "RGB": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
"""Mean and deviation a channel; those of RGB are ImageNet's, which pretrained weights expect."""
LOADERS = 2
"""Loader processes a rank, where pictures do not fit into memory."""


def warm_up() -> None:
    """Import, once for all ranks of a node, what torch leaves for the first optimiser: as much again as torch itself."""
    make_optimizer(nn.Linear(1, 1), Hyperparameters())


def main(wanted: Hyperparameters, trainer: BuiltinTrainer, seed: int) -> int:
    """Train and export; 0, or an exception with a `code`."""
    torch.manual_seed(seed)
    ranks = Ranks()
    classes, splits = read_samples(Path(os.environ["BRAMBLE_DATA"]))
    description = describe(trainer, classes)
    network = architectures.build(trainer.architecture, len(MOMENTS[trainer.channels][0]), len(classes)).to(ranks.device)
    if trainer.freeze_backbone:
        architectures.freeze_backbone(network)
    progress = Progress(Path(os.environ["BRAMBLE_PROGRESS"]) if ranks.first else None, wanted.epochs, ranks.name, ranks.world_size)
    operation = description.preprocess[-1]
    assert isinstance(operation, Normalize)  # noqa: S101  (`describe` put it there)
    setup = Setup(
        wanted=wanted,
        seed=seed,
        ranks=ranks,
        network=network,
        normalize=Normalizer(operation, ranks.device),
        train=Source(splits["train"], description, ranks.device, LOADERS),
        val=Source(splits["val"], description, ranks.device, LOADERS),
        checkpoints=Path(os.environ["BRAMBLE_CHECKPOINTS"]),
        progress=progress,
    )
    state = Trainer(setup).run()
    ranks.leave()  # before the export, which only rank 0 makes: the others need not wait for it
    if ranks.first:
        _export(setup, description, state)
    return 0


def describe(trainer: BuiltinTrainer, classes: tuple[str, ...]) -> ModelDescription:
    """What the exported model takes and gives: the same operations prepare the pictures for training."""
    mean, std = MOMENTS[trainer.channels]
    size = trainer.image_size
    return ModelDescription(
        task=trainer.task,
        input=ImageInput(tensor=Tensor(name=INPUT, shape=(1, len(mean), size, size), layout="NCHW")),
        preprocess=(
            Decode(color=trainer.channels),
            Resize(size=size),
            Crop(size=(size, size)),
            Normalize(mean=mean, std=std),
        ),
        outputs=(Output(name=OUTPUT, shape=(1, len(classes))),),
        postprocess=Classify(labels=classes),
    )


def _export(setup: Setup, description: ModelDescription, state: checkpoint.State) -> None:
    """Write the model, its description with the fitted temperature, its weights and what came of the training."""
    logits, labels = predict(setup.network, setup.val, setup.normalize, np.arange(len(setup.val)), setup.wanted.batch_size)
    temperature = fit_temperature(logits.cpu().numpy(), labels.cpu().numpy())
    description = description.model_copy(update={"postprocess": description.postprocess.model_copy(update={"temperature": temperature})})
    network = setup.network.to("cpu").eval()
    example = torch.zeros(description.input.tensor.shape)
    out = Path(os.environ["BRAMBLE_OUT"])
    export(network, example, description, out)
    checkpoint.save_weights(network, out / "weights.safetensors")
    summary = {"metrics": state.best or state.metrics, "epochs": state.epoch, "device": setup.ranks.name}
    (out / "training.json").write_text(json.dumps(summary))
    setup.progress.write(state.epoch, state.best or state.metrics, 0.0, "exported")
