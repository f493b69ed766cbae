"""`minRuntime` is the least release that loads a graph, not the one of the image that made it."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from bramble_workloads.runtimes.onnx.releases import RELEASES, least_release

HERE = ".".join(onnxruntime.__version__.split(".")[:2])


def graph(folder: Path, opset: int, ir: int, domain: str = "") -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy")
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y]))
    model.ir_version = ir
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    onnx.save(model, str(folder / "graph.onnx"))
    return folder / "graph.onnx"


@pytest.mark.parametrize(
    ("opset", "ir", "domain", "release"),
    [
        pytest.param(13, 7, "", "1.15", id="older than the table begins"),
        pytest.param(19, 9, "", "1.15", id="the last that 1.15 loads"),
        pytest.param(20, 9, "", "1.17", id="an opset later"),
        pytest.param(19, 10, "", "1.18", id="the format alone is later"),
        pytest.param(24, 8, "", "1.24", id="an opset between two rows"),
        pytest.param(27, 8, "", HERE, id="newer than the table"),
        pytest.param(13, 7, "com.microsoft", HERE, id="operators of another domain"),
    ],
)
def test_the_least_release(opset: int, ir: int, domain: str, release: str, tmp_path: Path) -> None:
    assert least_release(graph(tmp_path, opset, ir, domain)) == release


def test_a_later_release_loads_whatever_an_earlier_one_does() -> None:
    bounds = [(release.opset, release.ir) for release in RELEASES]
    assert bounds == sorted(set(bounds))
    assert [tuple(map(int, release.name.split("."))) for release in RELEASES] == sorted(
        tuple(map(int, release.name.split("."))) for release in RELEASES
    )


def test_the_newest_row_is_loaded_here(tmp_path: Path) -> None:
    newest = RELEASES[-1]
    session = onnxruntime.InferenceSession(str(graph(tmp_path, newest.opset, newest.ir)), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["x"]
