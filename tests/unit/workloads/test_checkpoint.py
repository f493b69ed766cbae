"""A checkpoint is resumed in the form that the present optimiser has, whichever form wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bramble.contracts.hyperparameters import Hyperparameters
from bramble_workloads.train import checkpoint
from bramble_workloads.train.checkpoint import Parts, State
from bramble_workloads.train.loop import make_optimizer


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def train(made: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    inputs = torch.linspace(-1, 1, 12).reshape(3, 4)
    for _ in range(steps):
        optimizer.zero_grad()
        made(inputs).square().mean().backward()
        optimizer.step()


def parts(made: nn.Module, optimizer: torch.optim.Optimizer) -> Parts:
    return Parts(made, optimizer, torch.amp.GradScaler("cpu", enabled=False), {})


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("fused", [None, False, True])
def test_a_resumed_run_has_the_fused_form(optimizer: str, fused: bool | None, tmp_path: Path) -> None:
    """The releases before wrote None. The state is the same: the steps after it are those of a run that was never interrupted."""
    wanted = Hyperparameters.model_validate({"epochs": 1, "learningRate": 0.01, "optimizer": optimizer, "weightDecay": 0.1})
    whole = network()
    before = make_optimizer(whole, wanted)
    for group in before.param_groups:
        group["fused"] = fused
    train(whole, before, 3)
    checkpoint.save(tmp_path, State(step=3), parts(whole, before))
    train(whole, before, 3)

    resumed = network()
    after = make_optimizer(resumed, wanted)
    assert checkpoint.restore(tmp_path, parts(resumed, after), torch.device("cpu")).step == 3
    assert [group["fused"] for group in after.param_groups] == [True]
    train(resumed, after, 3)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)
