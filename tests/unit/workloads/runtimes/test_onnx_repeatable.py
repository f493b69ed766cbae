"""A graph that draws random numbers is refused, and one that gives the same outputs in every run is not: ONNX Runtime is asked itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper

from bramble_workloads.errors import SpecError
from bramble_workloads.runtimes.onnx.repeatable import require_repeatable

X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy")
WEIGHTS = (
    helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
    helper.make_tensor("true", TensorProto.BOOL, [], [True]),
    helper.make_tensor("false", TensorProto.BOOL, [], [False]),
)


def save(folder: Path, *nodes: NodeProto, opset: int = 17, functions: tuple[Any, ...] = ()) -> Path:
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid("own", 1)] if functions else [])]
    graph = helper.make_graph(nodes, "g", [X], [Y], WEIGHTS)
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9, functions=functions), folder / "model.onnx")
    return folder / "model.onnx"


def drawn(op: str, *inputs: str, **attributes: Any) -> tuple[NodeProto, ...]:
    """A node that adds to `x` what this operator gives."""
    cast = helper.make_node("Cast", ["drawn"], ["noise"], to=TensorProto.FLOAT)
    return helper.make_node(op, inputs, ["drawn"], name="dice", **attributes), cast, helper.make_node("Add", ["x", "noise"], ["y"])


def branch() -> NodeProto:
    """A node whose branch draws."""
    then = helper.make_graph([helper.make_node("RandomNormal", [], ["y"], name="dice", shape=[1, 64])], "then", [], [Y])
    otherwise = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "otherwise", [], [Y])
    return helper.make_node("If", ["true"], ["y"], then_branch=then, else_branch=otherwise)


def dropout(mode: str, **attributes: Any) -> NodeProto:
    return helper.make_node("Dropout", ["x", "half", mode], ["y"], name="dice", **attributes)


ROLLS = helper.make_function(
    "own", "Rolls", ["x"], ["y"], [helper.make_node("RandomUniformLike", ["x"], ["y"], name="dice")], [helper.make_opsetid("", 17)]
)


def differs(graph: Path) -> bool:
    """Whether two runs of ONNX Runtime differ."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    first, second = (session.run(None, {"x": np.ones((1, 64), np.float32)})[0] for _ in range(2))
    return not np.array_equal(first, second)


@pytest.mark.parametrize("seed", [{}, {"seed": 5.0}], ids=["without a seed", "with a seed"])
@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("RandomNormal", (), {"shape": [1, 64]}),
        ("RandomUniform", (), {"shape": [1, 64]}),
        ("RandomNormalLike", ("x",), {}),
        ("RandomUniformLike", ("x",), {}),
        ("Bernoulli", ("x",), {}),
        ("Multinomial", ("x",), {"sample_size": 64}),
    ],
)
def test_what_draws_is_refused_by_name_also_with_a_seed(
    op: str, inputs: tuple[str, ...], attributes: dict[str, Any], seed: dict[str, float], tmp_path: Path
) -> None:
    nodes = [helper.make_node("Mul", ["x", "half"], ["p"]), *drawn(op, *("p" for _ in inputs), **attributes, **seed)]
    graph = save(tmp_path, *nodes)
    assert differs(graph)
    with pytest.raises(SpecError, match=f"best.onnx: node dice of type {op} draws other random numbers in every run.*a seed does not help"):
        require_repeatable(graph, "best.onnx")


@pytest.mark.parametrize(
    ("nodes", "functions"),
    [
        pytest.param((dropout("true"),), (), id="dropout in training mode"),
        pytest.param((dropout("true", seed=5),), (), id="dropout in training mode with a seed"),
        pytest.param(
            (helper.make_node("Constant", [], ["mode"], value=helper.make_tensor("", TensorProto.BOOL, [], [True])), dropout("mode")),
            (),
            id="its mode is a node",
        ),
        pytest.param((branch(),), (), id="in a branch"),
        pytest.param((helper.make_node("Rolls", ["x"], ["y"], domain="own"),), (ROLLS,), id="in a function"),
    ],
)
def test_wherever_it_draws_it_is_refused(nodes: tuple[NodeProto, ...], functions: tuple[Any, ...], tmp_path: Path) -> None:
    graph = save(tmp_path, *nodes, functions=functions)
    assert differs(graph)
    with pytest.raises(SpecError, match="node dice of type"):
        require_repeatable(graph, "model.onnx")


@pytest.mark.parametrize(
    ("node", "opset"),
    [
        pytest.param(dropout("false"), 17, id="dropout in evaluation mode"),
        pytest.param(helper.make_node("Dropout", ["x"], ["y"]), 17, id="its mode is not stated"),
        pytest.param(helper.make_node("Dropout", ["x"], ["y"], ratio=0.5), 11, id="it has no mode"),
        pytest.param(helper.make_node("Relu", ["x"], ["y"]), 17, id="an ordinary node"),
    ],
)
def test_what_gives_the_same_in_every_run_is_accepted(node: NodeProto, opset: int, tmp_path: Path) -> None:
    graph = save(tmp_path, node, opset=opset)
    assert not differs(graph)
    require_repeatable(graph, "model.onnx")


def test_a_node_without_a_name_is_named_by_what_it_computes_and_others_are_counted(tmp_path: Path) -> None:
    nodes = [helper.make_node("RandomNormalLike", ["x"], [name]) for name in ("a", "b")]
    with pytest.raises(SpecError, match=r"node that computes a of type RandomNormalLike \(and 1 more\)"):
        require_repeatable(save(tmp_path, *nodes, helper.make_node("Add", ["a", "b"], ["y"])), "model.onnx")
