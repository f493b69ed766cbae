"""Real graphs of more than one layer: convolutions and a logistic regression on digits, and graphs that int8 does not suit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bramble.contracts.package import Package
from bramble_workloads.processing.preprocess import Preprocessor
from tests.unit.workloads.models import build_package, description, digits, digits_graph

Floats = NDArray[np.float32]
FILTERS = 16


def save(nodes: list[NodeProto], weights: dict[str, NDArray[Any]], outputs: int = 10, opset: int = 17) -> bytes:
    """An ONNX file from `x` [1,1,8,8] to `logits` [1, outputs]."""
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, outputs])],
        [numpy_helper.from_array(_single(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _single(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float64 else array


@lru_cache(maxsize=1)
def _tensors() -> Floats:
    preprocess = Preprocessor(description())
    return np.concatenate([preprocess(picture) for picture in digits()[0]])


@lru_cache(maxsize=1)
def conv_graph(*last: str) -> bytes:
    """Random 3x3 filters, Relu, pooling, and a logistic regression fitted to what they give for the train split of `datasets.dataset`.

    `last` names operators of one input that follow; none of them is quantised.
    """
    filters = np.random.default_rng(3).normal(size=(FILTERS, 1, 3, 3)).astype(np.float32)
    weights = {"filters": filters}
    features = [
        helper.make_node("Conv", ["x", "filters"], ["edges"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["edges"], ["bright"]),
        helper.make_node("MaxPool", ["bright"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    body = save([*features, helper.make_node("Flatten", ["pooled"], ["logits"])], weights, outputs=FILTERS * 16)
    session = onnxruntime.InferenceSession(body, providers=["CPUExecutionProvider"])
    rows = np.concatenate([session.run(None, {"x": tensor[np.newaxis]})[0] for tensor in _tensors()])
    train = np.arange(len(rows)) % 5 < 3
    with threadpool_limits(1):  # small matrices: more threads only wait for each other
        fitted = LogisticRegression(C=0.01, max_iter=2000).fit(rows[train], np.array(digits()[1], dtype=int)[train])
    names = [*(f"before-{each}" for each in last), "logits"]
    head = [helper.make_node("Flatten", ["pooled"], ["row"]), helper.make_node("Gemm", ["row", "w", "b"], [names[0]])]
    tail = [helper.make_node(each, [before], [after]) for each, before, after in zip(last, names, names[1:], strict=False)]
    return save([*features, *head, *tail], {**weights, "w": fitted.coef_.T, "b": fitted.intercept_})


def outlier_graph() -> bytes:
    """Nearest class mean behind a layer in which one value is a hundred thousand times the others: int8 ranges drown all but it."""
    model = onnx.load_from_string(digits_graph())
    initializers = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    widen = np.concatenate([np.eye(64), np.full((64, 1), 1000.0)], axis=1)
    head = np.concatenate([initializers["w"], np.zeros((1, 10))])
    nodes = [
        helper.make_node("Flatten", ["x"], ["row"]),
        helper.make_node("Gemm", ["row", "widen", "nothing"], ["wide"]),
        helper.make_node("Gemm", ["wide", "w", "b"], ["logits"]),
    ]
    return save(nodes, {"widen": widen, "nothing": np.zeros(65), "w": head, "b": initializers["b"]})


def rare_outlier_graph() -> bytes:
    """The digits' graph behind a layer that makes rare pictures a thousand times as large, as squeeze-and-excitation can.

    One of 50 pictures, those with the most ink, is multiplied. That changes no answer, because every logit but the bias is multiplied.
    """
    ink = _tensors().reshape(-1, 64).mean(axis=1)
    threshold = float(np.sort(ink)[-len(ink) // 50])
    model = onnx.load_from_string(digits_graph())
    head = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    rows = np.concatenate([head["w"], head["b"][np.newaxis]])  # the bias belongs to a 65th value, which is multiplied as well
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["ink"], axes=[2, 3], keepdims=1),
        helper.make_node("Sub", ["ink", "threshold"], ["more"]),
        helper.make_node("Sign", ["more"], ["is_more"]),
        helper.make_node("Relu", ["is_more"], ["rare"]),
        helper.make_node("Mul", ["rare", "thousand"], ["larger"]),
        helper.make_node("Add", ["larger", "one"], ["gain"]),
        helper.make_node("Flatten", ["x"], ["row"]),
        helper.make_node("Concat", ["row", "unit"], ["wide"], axis=1),
        helper.make_node("Flatten", ["gain"], ["factor"]),
        helper.make_node("Mul", ["wide", "factor"], ["excited"]),
        helper.make_node("MatMul", ["excited", "w"], ["logits"]),
    ]
    single = {"threshold": threshold, "thousand": 999.0, "one": 1.0}
    return save(nodes, {**{name: np.array([[[[value]]]]) for name, value in single.items()}, "unit": np.ones((1, 1)), "w": rows})


def cancelling_graph(share: float = 0.01) -> bytes:
    """Logits that are small differences of large numbers: rounding one of them otherwise changes a logit by many quantisation steps.

    `share` is how large the differences are, as a share of the numbers.
    """
    random = np.random.default_rng(5)
    first, small = random.normal(size=(64, 256)), random.normal(size=(64, 256))
    head = random.normal(size=(256, 10))
    nodes = [
        helper.make_node("Flatten", ["x"], ["row"]),
        helper.make_node("Gemm", ["row", "first", "nothing"], ["large"]),
        helper.make_node("Gemm", ["large", "back", "none"], ["logits"]),
    ]
    both = np.concatenate([first, first + share * small], axis=1)
    return save(nodes, {"first": both, "nothing": np.zeros(512), "back": np.concatenate([-head, head]), "none": np.zeros(10)})


def plain_graph() -> bytes:
    """Distances to the class means by operators that the quantiser leaves as they are."""
    rows, labels = _tensors().reshape(-1, 64), np.array(digits()[1], dtype=int)
    means = np.stack([rows[labels == label].mean(axis=0) for label in range(10)])
    nodes = [
        helper.make_node("Sub", ["x", "means"], ["away"]),
        helper.make_node("Abs", ["away"], ["distance"]),
        helper.make_node("ReduceSum", ["distance", "axes"], ["sums"], keepdims=0),
        helper.make_node("Neg", ["sums"], ["logits"]),
    ]
    return save(nodes, {"means": means.reshape(1, 10, 8, 8).astype(np.float32), "axes": np.array([2, 3], np.int64)})


def exported(graph: bytes, **changes: Any) -> tuple[Package, dict[str, bytes]]:
    """A package as training exports it: no golden cases yet."""
    return build_package(graph, cases=0, **changes)


def random_graph() -> bytes:
    """The graph of the digits, whose logits get noise from the node `dice`."""
    model = onnx.load_from_string(digits_graph())
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("RandomNormalLike", ["before"], ["noise"], name="dice"))
    model.graph.node.append(helper.make_node("Add", ["before", "noise"], ["logits"]))
    return bytes(model.SerializeToString())
