"""Writes and reads checkpoints: folders `step-<n>/` with safetensors, JSON and an optimiser state. Reading one executes no pickle code."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bramble_workloads.errors import BadData

KEPT = 2
"""Checkpoints that stay on the node's disk. The sidecar has uploaded the older ones, or will upload a newer one instead."""
FOLDER = re.compile(r"step-(\d+)")
WEIGHTS, BEST, OPTIMIZER, STATE = "model.safetensors", "best.safetensors", "optimizer.pt", "state.json"


@dataclass
class State:
    """The progress of a run, without its weights.

    Attributes:
        epoch: the epoch that is being trained, from 0.
        consumed: how many samples of that epoch all ranks together have used.
        step: how many optimiser steps the run has taken.
        best: metrics of the best epoch so far; empty before the first validation.
        best_epoch: the best epoch.
        stale: how many epochs have ended since the best one.
        metrics: metrics of the last complete epoch.
    """

    epoch: int = 0
    consumed: int = 0
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_epoch: int = -1
    stale: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def is_best(self) -> bool:
        """True if the weights are those of the best epoch."""
        return self.consumed == 0 and self.best_epoch == self.epoch - 1


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a checkpoint besides the state. `scaler` scales the loss in float16; `best` has the weights of the best epoch."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    best: dict[str, Tensor]


def save(folder: Path, state: State, parts: Parts) -> Path:
    """Write `step-<n>/`, remove all but the last `KEPT` checkpoints, and return the new folder."""
    final, aside = folder / f"step-{state.step}", folder / f"tmp-step-{state.step}"
    if final.exists():
        return final
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(weights_of(parts.network), aside / WEIGHTS)
    if parts.best and state.is_best:
        (aside / BEST).hardlink_to(aside / WEIGHTS)
    elif parts.best:
        save_file(parts.best, aside / BEST)
    torch.save({"optimizer": parts.optimizer.state_dict(), "scaler": parts.scaler.state_dict()}, aside / OPTIMIZER)
    (aside / STATE).write_text(json.dumps(asdict(state)))
    aside.rename(final)
    for _, old in steps(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def restore(folder: Path, parts: Parts, device: torch.device) -> State:
    """Load the newest checkpoint into the parts. Without a checkpoint, return the state of a run that begins.

    Raises:
        BadData: the checkpoint was written by another program or for another network.
    """
    found = steps(folder)
    if not found:
        return State()
    _, newest = found[-1]
    try:
        parts.network.load_state_dict(load_file(newest / WEIGHTS, device=str(device)))
        kept: dict[str, Any] = torch.load(newest / OPTIMIZER, map_location=device, weights_only=True)
        for before, present in zip(kept["optimizer"]["param_groups"], parts.optimizer.param_groups, strict=False):
            before["fused"] = present.get("fused")  # otherwise a run of an older release would go on with its slower form
        parts.optimizer.load_state_dict(kept["optimizer"])
        if kept["scaler"]:  # empty where the run used none, as with bfloat16
            parts.scaler.load_state_dict(kept["scaler"])
        if (newest / BEST).exists():
            parts.best.update(load_file(newest / BEST))
        return State(**json.loads((newest / STATE).read_text()))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise BadData(f"checkpoint {newest.name} does not fit this run: {error}") from error


def steps(folder: Path) -> list[tuple[int, Path]]:
    """Complete checkpoints with their steps, oldest first."""
    found = ((FOLDER.fullmatch(path.name), path) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted((int(match[1]), path) for match, path in found if match)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Copies of a network's weights and running statistics on the CPU, each with its own storage."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in network.state_dict().items()}


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights of a network."""
    save_file(weights_of(network), path)
