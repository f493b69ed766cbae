"""The rules of a ModelVersion's variants that come from the runtimes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bramble.api import modelversion
from bramble.contracts.runtimes import FLOAT32, INT8, ONNX


def test_a_runtime_that_lacks_a_precision_of_another_one_gets_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(ONNX, format="small", runtime="small", precisions=(INT8,))
    monkeypatch.setattr(modelversion, "RUNTIMES", (ONNX, small))
    monkeypatch.setattr(modelversion, "PRECISIONS", (FLOAT32, INT8))
    (rule,) = modelversion._precision_rules()
    assert rule.rule == "self.format != 'small' || (has(self.precision) ? self.precision : 'float32') in ['int8']"
    assert rule.message == "format: small has the precisions int8 only (unset means float32)"


def test_runtimes_with_every_precision_need_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelversion, "RUNTIMES", (ONNX, replace(ONNX, format="other", runtime="other")))
    monkeypatch.setattr(modelversion, "PRECISIONS", ONNX.precisions)
    assert list(modelversion._precision_rules()) == []
