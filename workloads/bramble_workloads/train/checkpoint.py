"""Checkpoints: a folder `step-<n>/` that appears whole, of safetensors, JSON and an optimiser state that is loaded as weights only."""

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
"""Checkpoints on the node's disk; the sidecar has uploaded the older ones, or will pass them over for a newer one."""
FOLDER = re.compile(r"step-(\d+)")
WEIGHTS, BEST, OPTIMIZER, STATE = "model.safetensors", "best.safetensors", "optimizer.pt", "state.json"


@dataclass
class State:
    """Where a run is, beside its weights.

    Attributes:
        epoch: that is being trained, from 0.
        consumed: samples that all ranks together have seen of it.
        step: optimiser steps of the whole run.
        best: metrics of the best epoch so far; empty before the first validation.
        best_epoch: that epoch.
        stale: epochs since then.
        metrics: of the last whole epoch.
    """

    epoch: int = 0
    consumed: int = 0
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_epoch: int = -1
    stale: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a checkpoint holds beside the state; `scaler` is that of float16."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    best: dict[str, Tensor]


def save(folder: Path, state: State, parts: Parts) -> Path:
    """Write `step-<n>/` and remove what is older than the last `KEPT`; the new folder."""
    final, aside = folder / f"step-{state.step}", folder / f"tmp-step-{state.step}"
    if final.exists():
        return final
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(weights_of(parts.network), aside / WEIGHTS)
    if parts.best:
        save_file(parts.best, aside / BEST)
    torch.save({"optimizer": parts.optimizer.state_dict(), "scaler": parts.scaler.state_dict()}, aside / OPTIMIZER)
    (aside / STATE).write_text(json.dumps(asdict(state)))
    aside.rename(final)
    for _, old in steps(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def restore(folder: Path, parts: Parts, device: torch.device) -> State:
    """Load the newest checkpoint into the parts; a fresh state where there is none.

    Raises:
        BadData: it was written by another program, or for another network.
    """
    found = steps(folder)
    if not found:
        return State()
    _, newest = found[-1]
    try:
        parts.network.load_state_dict(load_file(newest / WEIGHTS, device=str(device)))
        kept: dict[str, Any] = torch.load(newest / OPTIMIZER, map_location=device, weights_only=True)
        parts.optimizer.load_state_dict(kept["optimizer"])
        if kept["scaler"]:  # empty where the run went on without one, as with bfloat16
            parts.scaler.load_state_dict(kept["scaler"])
        if (newest / BEST).exists():
            parts.best.update(load_file(newest / BEST))
        return State(**json.loads((newest / STATE).read_text()))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise BadData(f"checkpoint {newest.name} does not fit this run: {error}") from error


def steps(folder: Path) -> list[tuple[int, Path]]:
    """Whole checkpoints, oldest first."""
    found = ((FOLDER.fullmatch(path.name), path) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted((int(match[1]), path) for match, path in found if match)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A network's weights and statistics on the CPU, each with storage of its own."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in network.state_dict().items()}


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights alone."""
    save_file(weights_of(network), path)
