"""A graph that keeps data in other files is refused before ONNX Runtime opens one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bramble_workloads.processing.errors import DescriptionError
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.onnx.external_data import _tensors
from bramble_workloads.runtimes.onnx.one_file import require_one_file
from tests.unit.workloads.graphs import conv_graph
from tests.unit.workloads.models import description

X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")


def tensor(external: bool) -> onnx.TensorProto:
    made = numpy_helper.from_array(np.ones(2, np.float32), "w")
    if external:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="f" * 64)
    return made


def model(*nodes: onnx.NodeProto, initializer: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [X], [Y], list(initializer)))


def of_an_initializer(w: onnx.TensorProto) -> onnx.ModelProto:
    return model(helper.make_node("Add", ["x", "w"], ["y"]), initializer=(w,))


def of_a_constant(w: onnx.TensorProto) -> onnx.ModelProto:
    return model(helper.make_node("Constant", [], ["w"], value=w), helper.make_node("Add", ["x", "w"], ["y"]))


def of_a_branch(w: onnx.TensorProto) -> onnx.ModelProto:
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "b", [], [Y], [w])
    return model(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))


def of_a_function(w: onnx.TensorProto) -> onnx.ModelProto:
    made = of_an_initializer(tensor(external=False))
    nodes = [helper.make_node("Constant", [], ["b"], value=w)]
    made.functions.append(helper.make_function("own", "f", ["a"], ["b"], nodes, [helper.make_opsetid("", 20)]))
    return made


def of_a_sparse_initializer(w: onnx.TensorProto) -> onnx.ModelProto:
    made = of_an_initializer(tensor(external=False))
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(w, numpy_helper.from_array(np.array([0, 1])), [2]))
    return made


MODELS = [of_an_initializer, of_a_constant, of_a_branch, of_a_function, of_a_sparse_initializer]


@pytest.mark.parametrize("make", MODELS)
def test_a_tensor_in_another_file_is_found_wherever_it_is(make: Callable[[onnx.TensorProto], onnx.ModelProto], tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(make(tensor(external=True)).SerializeToString())
    for graph in (path, path.read_bytes()):
        with pytest.raises(DescriptionError, match="keeps the data of a tensor in another file: export it in one file"):
            require_one_file(graph)
    path.write_bytes(make(tensor(external=False)).SerializeToString())
    require_one_file(path)


def test_a_device_refuses_it_before_the_other_file_is_opened(tmp_path: Path) -> None:
    graph = onnx.load_from_string(conv_graph())
    onnx.save(graph, str(tmp_path / "graph"), save_as_external_data=True, location="another-blob", size_threshold=0)
    with pytest.raises(DescriptionError, match="in another file"):
        Model.load(description(), tmp_path / "graph")


@given(st.sampled_from(MODELS), st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3))
def test_a_damaged_graph_that_is_taken_has_no_tensor_elsewhere(
    make: Callable[[onnx.TensorProto], onnx.ModelProto], at: int, instead: bytes, removed: int
) -> None:
    whole = make(tensor(external=True)).SerializeToString()
    content = whole[:at] + instead + whole[at + removed :]
    try:
        require_one_file(content)
        parsed = onnx.load_from_string(content)
    except (DescriptionError, DecodeError):
        return
    assert not [each.name for each in _tensors(parsed) if each.external_data]


@pytest.mark.parametrize("content", [b"\x0b", b"\x3a\x05ab", b"\xff" * 12, b"\x39\x00", conv_graph() + b"\0" * 1000])
def test_bytes_that_are_no_graph_are_said_to_be_none(content: bytes) -> None:
    with pytest.raises(DescriptionError, match="the graph is no ONNX file"):
        require_one_file(content)
