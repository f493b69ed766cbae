"""Static int8 on real graphs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import Form, NotConvertible
from bramble_workloads.runtimes.onnx.quantize import candidates
from tests.unit.workloads.graphs import conv_graph, plain_graph, save
from tests.unit.workloads.models import description, digits, digits_graph


def tensors(count: int = 60) -> Iterator[NDArray[np.float32]]:
    model = Model.load(description(), digits_graph())
    return (model.preprocessor(picture) for picture in digits()[0][:count])


NAMES = [
    f"{method} ranges, weights per {unit}" for unit in ("channel", "tensor") for method in ("average", "percentile", "min-max", "entropy")
]
MIN_MAX = NAMES[2]


def quantise(graph: Path, tensors: Iterator[NDArray[np.float32]], folder: Path, name: str = MIN_MAX) -> Form:
    folder.mkdir(exist_ok=True)
    return candidates(graph, description().input.tensor, tensors, folder)[name]()


def written(graph: bytes, folder: Path) -> Path:
    path = folder / "float32.onnx"
    path.write_bytes(graph)
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("graph", [conv_graph(), digits_graph()], ids=["conv", "linear"])
def test_int8_answers_nearly_as_float32_does(graph: bytes, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = quantise(written(graph, tmp_path), tensors(), tmp_path / "int8", name)
    ours, theirs = Model.load(description(), made.graph), Model.load(description(), graph)
    pairs = [(ours.run(tensor)["logits"], theirs.run(tensor)["logits"]) for tensor in tensors(400)]
    found, expected = (np.concatenate(column) for column in zip(*pairs, strict=True))
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95
    step = made.quantised.step if made.quantised is not None else None
    assert step is not None
    assert np.abs(found - expected).mean() < 3 * step
    if name == MIN_MAX:
        assert step == pytest.approx((expected[:60].max() - expected[:60].min()) / 255, rel=0.1)
    assert {path.name for path in (tmp_path / "int8").iterdir()} == {"prepared.onnx", made.graph.name}
    assert capfd.readouterr() == ("", "")


def test_every_candidate_is_another_graph_from_one_run_of_the_samples(tmp_path: Path) -> None:
    folder = tmp_path / "int8"
    folder.mkdir()
    ways = candidates(written(conv_graph(), tmp_path), description().input.tensor, tensors(), folder)
    assert list(ways) == NAMES, "in the documented order of preference"
    forms = [make() for make in ways.values()]
    assert len({form.graph.read_bytes() for form in forms}) == len(NAMES)
    assert len({(form.method["ranges"], form.method["weights"]) for form in forms}) == len(NAMES)


def test_weights_are_int8_and_the_output_stays_float(tmp_path: Path) -> None:
    """A logit beyond what calibration saw must not be clipped."""
    made = quantise(written(conv_graph(), tmp_path), tensors(), tmp_path / "int8")
    model = onnx.load(str(made.graph))
    onnx.checker.check_model(model, full_check=True)
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    assert makers["logits"] == "Gemm"
    sizes = {each.name: (each.data_type, int(np.prod(each.dims))) for each in model.graph.initializer}
    assert all(size <= 16 * 4 for kind, size in sizes.values() if kind == onnx.TensorProto.FLOAT), "only scales are float32"
    (filters,) = (node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0].startswith("filters"))
    assert sizes[filters.input[1]] == (onnx.TensorProto.FLOAT, 16), "a scale for each of the 16 filters"
    used = {name for node in model.graph.node for name in node.input}
    assert set(sizes) <= used
    far = np.full((1, 1, 8, 8), 50, np.float32)
    seen = max(float(np.abs(Model.load(description(), conv_graph()).run(tensor)["logits"]).max()) for tensor in tensors())
    assert float(np.abs(Model.load(description(), made.graph).run(far)["logits"]).max()) != pytest.approx(seen, rel=0.01)


@pytest.mark.parametrize("name", NAMES[:4])
def test_the_same_pictures_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    source = written(conv_graph(), tmp_path)
    make = partial(quantise, source, name=name)
    first = make(tensors(), tmp_path / "a").graph.read_bytes()
    assert make(reversed(list(tensors())), tmp_path / "b").graph.read_bytes() == first


def unknown_operator() -> bytes:
    model = onnx.load_from_string(digits_graph())
    model.graph.node[0].op_type = "Quux"
    return bytes(model.SerializeToString())


def old_opset() -> bytes:
    nodes = [helper.make_node("Flatten", ["x"], ["row"]), helper.make_node("Gemm", ["row", "w", "b"], ["logits"])]
    return save(nodes, {"w": np.ones((64, 10)), "b": np.zeros(10)}, opset=12)


@pytest.mark.parametrize(
    ("name", "graph", "says"),
    [
        ("nothing that can be quantised", plain_graph(), r"nothing that can be quantised \(operators: Abs, Neg, ReduceSum, Sub\)"),
        ("older than scales by channel", old_opset(), "has ONNX opset 12 and int8 needs 13: export it with opset 13 or newer"),
        ("an operator that nobody knows", unknown_operator(), "cannot quantise the graph"),
    ],
)
def test_a_graph_that_cannot_be_quantised(name: str, graph: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(NotConvertible, match=says):
        print(name, quantise(written(graph, tmp_path), tensors(), tmp_path / "int8"))


def test_an_error_in_the_pictures_is_not_the_graphs(tmp_path: Path) -> None:
    class StoreGone(Exception):
        pass

    def broken() -> Iterator[NDArray[np.float32]]:
        yield from tensors(3)
        raise StoreGone

    with pytest.raises(StoreGone):
        quantise(written(conv_graph(), tmp_path), broken(), tmp_path / "int8")


def head(before: str = "h") -> list[onnx.NodeProto]:
    return [helper.make_node("Flatten", [before], ["row"]), helper.make_node("Gemm", ["row", "w", "b"], ["logits"])]


def linear() -> dict[str, NDArray[np.float32]]:
    return {each.name: numpy_helper.to_array(each) for each in onnx.load_from_string(digits_graph()).graph.initializer}


def conv(source: str, kernel: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, kernel], [target])


def open_batch(*names: str) -> bytes:
    """A graph that takes batches of any size, as torch exports it with `dynamic_axes`. `names` are those of the dimension."""
    model = onnx.load_from_string(conv_graph())
    for value, name in zip((*model.graph.input, *model.graph.output), names, strict=True):
        value.type.tensor_type.shape.dim[0].dim_param = name
    return bytes(model.SerializeToString())


def tied_layers() -> bytes:
    kernel = {"k": np.random.default_rng(0).normal(size=(1, 1, 3, 3)) * 0.3}
    layers = [helper.make_node("Conv", [before, "k"], [after], pads=[1, 1, 1, 1]) for before, after in ("xa", "ah")]
    return save(layers + head(), {**linear(), **kernel})


def equal_small_layers() -> bytes:
    one = np.ones((1, 1, 1, 1))
    return save([conv("x", "k1", "a"), conv("a", "k2", "h"), *head()], {**linear(), "k1": one, "k2": one})


def scaled_bias() -> bytes:
    """Two Gemms that share a bias and multiply it differently. One bias has no effect, so that the sum is the digits' graph."""
    gemms = [helper.make_node("Gemm", ["row", "w", "b"], [name], beta=beta) for name, beta in (("l1", 4.0), ("l2", 2.0))]
    nodes = [helper.make_node("Flatten", ["x"], ["row"]), *gemms, helper.make_node("Add", ["l1", "l2"], ["logits"])]
    return save(nodes, {"w": linear()["w"] / 2, "b": linear()["b"] / 6})


def dead_relu(*last: str) -> bytes:
    """What is added to the pictures is 0 for every picture, because the Relu clips negative values to 0."""
    clip = helper.make_node("Clip", ["n", "zero", "six"], ["r"]) if last else helper.make_node("Relu", ["n"], ["r"])
    below = helper.make_node("Conv", ["x", "minus", "low"], ["n"])
    nodes = [below, clip, conv("r", "k", "q"), helper.make_node("Add", ["x", "q"], ["h"]), *head()]
    kernels = {"minus": np.full((1, 1, 1, 1), -3.0), "low": np.array([-5.0]), "k": np.full((1, 1, 1, 1), 7.0)}
    return save(nodes, {**linear(), **kernels, **({"zero": np.array(0.0), "six": np.array(6.0)} if last else {})})


@pytest.mark.parametrize("name", [MIN_MAX, NAMES[-2]])
@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(open_batch("batch", "batch"), id="a batch of any size"),
        pytest.param(open_batch("s0", "s1"), id="a batch of any size with two names"),
        pytest.param(tied_layers(), id="a layer that is used twice"),
        pytest.param(equal_small_layers(), id="two layers with equal small weights"),
        pytest.param(scaled_bias(), id="a bias that Gemm multiplies"),
        pytest.param(dead_relu(), id="a Relu that gives 0 for every sample"),
        pytest.param(dead_relu("six"), id="a ReLU6 that gives 0 for every sample"),
    ],
)
def test_int8_of_graphs_that_the_quantiser_alone_gets_wrong(graph: bytes, name: str, tmp_path: Path) -> None:
    made = quantise(written(graph, tmp_path), tensors(), tmp_path / "int8", name)
    assert made.quantised is not None
    assert made.quantised.step is not None
    ours, theirs = Model.load(description(), made.graph), Model.load(description(), graph)
    found, expected = (np.concatenate([model.run(tensor)["logits"] for tensor in tensors(200)]) for model in (ours, theirs))
    assert np.abs(found - expected).mean() < 3 * made.quantised.step


def test_a_graph_of_another_shape_is_named_as_such(tmp_path: Path) -> None:
    other = description().input.tensor.model_copy(update={"shape": (2, 1, 8, 8)})
    with pytest.raises(NotConvertible, match="has a dimension of 1, and the description has 2"):
        candidates(written(conv_graph(), tmp_path), other, tensors(), tmp_path)
