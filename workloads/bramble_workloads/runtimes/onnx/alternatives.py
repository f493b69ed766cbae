"""Loads a graph in ways that differ from each other as processors do.

The integer kernels of all processors give the same sums. What differs are the last bits of the float arithmetic between them, by which a
value that lies between two int8 numbers is rounded to the one or to the other. In a deep network that one step grows. So an alternative
is the same graph with the scales of its activations changed in their last bits: everywhere in it, other values are rounded otherwise. One
more alternative is the graph without ONNX Runtime's optimisations, which computes in float32 and rounds after each operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import onnx
from onnx import numpy_helper

from bramble.contracts.package import ModelDescription
from bramble_workloads.runtimes.base import Graph
from bramble_workloads.runtimes.converter import Form
from bramble_workloads.runtimes.onnx.run import OnnxGraph, open_session

CHANGE = 1e-5
"""By how much a scale is changed at most, as a share of it: about 80 times the rounding error of one float32 operation. A sum of a
thousand products has errors of this size in another order."""


def alternatives(form: Form, description: ModelDescription, count: int) -> Iterator[Graph]:
    """Yield at most `count` alternatives. A float32 graph has no scales that could be changed, so it has one."""
    model = onnx.load(str(form.graph))
    yield from islice(_alternatives(model, description, quantised=form.quantised is not None), count)


def _alternatives(model: onnx.ModelProto, description: ModelDescription, *, quantised: bool) -> Iterator[Graph]:
    yield _load(model, description, optimised=False)
    seed = 0
    while quantised:
        yield _load(_with_other_scales(model, seed), description, optimised=True)
        seed += 1


def _with_other_scales(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """A copy of the graph. A scale that several nodes share stays the same for all of them."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    stored = {each.name: each for each in changed.graph.initializer}
    random = np.random.default_rng(seed)
    for name in sorted({node.input[1] for node in changed.graph.node if node.op_type == "QuantizeLinear"}):
        scale = numpy_helper.to_array(stored[name])
        factor = 1 + CHANGE * random.uniform(-1, 1, scale.shape)
        stored[name].CopyFrom(numpy_helper.from_array((scale * factor).astype(scale.dtype), name))
    return changed


def _load(model: onnx.ModelProto, description: ModelDescription, *, optimised: bool) -> Graph:
    return OnnxGraph(description, open_session(model.SerializeToString(), threads=1, optimised=optimised))
