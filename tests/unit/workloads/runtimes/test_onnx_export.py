"""What torch's exporter cannot write is a spec error that says why, and attention is exported as plain operators."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bramble_workloads.errors import SpecError
from bramble_workloads.runtimes.onnx.export import EXPORTER
from tests.unit.workloads.models import description


class Attention(nn.Module):
    """As timm's attention layers: it has a fused way, which cannot be exported here, and a plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.fused_attn = True
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fused_attn:
            raise ValueError("only 4D query, key, and value are supported\nand some advice")
        found: torch.Tensor = self.head(x.flatten(1))
        return found


class Fused(Attention):
    """Fused whatever is set."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.fused_attn = True
        return super().forward(x)


def test_attention_is_exported_as_plain_operators_and_stays_as_it_was(tmp_path: Path) -> None:
    module = Attention().eval()
    EXPORTER.write(module, torch.zeros(1, 1, 8, 8), description(), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size
    assert module.fused_attn is True


def test_a_module_that_cannot_be_exported_is_a_spec_error_with_the_first_reason(tmp_path: Path) -> None:
    reason = "^export: torch cannot write this module as an ONNX graph: ValueError: only 4D query, key, and value are supported$"
    with pytest.raises(SpecError, match=reason):
        EXPORTER.write(Fused().eval(), torch.zeros(1, 1, 8, 8), description(), tmp_path / "model.onnx")
