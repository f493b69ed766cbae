"""What is counted of a graph's tensors, in bounded memory, and which ranges follow from it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization.shape_inference import quant_pre_process

from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import NotConvertible
from bramble_workloads.runtimes.onnx import activations
from bramble_workloads.runtimes.onnx.activations import HALF, Activation, collect
from bramble_workloads.runtimes.onnx.ranges import METHODS, average, entropy, min_max, percentile
from tests.unit.workloads.graphs import conv_graph
from tests.unit.workloads.models import description, digits, digits_graph


def values(*samples: Any) -> Activation:
    found = Activation()
    for sample in samples:
        found.add(np.asarray(sample, np.float32))
    return found


def normal(samples: int, seed: int = 1) -> list[NDArray[np.float32]]:
    return list(np.random.default_rng(seed).normal(size=(samples, 1000)).astype(np.float32))


def test_nothing_depends_on_the_order_of_the_samples() -> None:
    samples = [scale * sample for scale, sample in zip((0.001, 7, 300, 1, 0), normal(5), strict=True)]
    there, back = values(*samples), values(*reversed(samples))
    np.testing.assert_array_equal(there.counts, back.counts)
    assert there.reach == back.reach
    assert there.counts.sum() == 5000
    assert {name: method(there) for name, method in METHODS.items()} == {name: method(back) for name, method in METHODS.items()}


@pytest.mark.parametrize(("greatest", "reach"), [(3.0, 4.0), (4.0, 4.0), (4.001, 8.0), (0.3, 0.5)])
def test_bins_reach_to_the_next_power_of_two(greatest: float, reach: float) -> None:
    found = values([-greatest, 0.0], [greatest / 1000])
    assert found.reach == reach
    np.testing.assert_array_equal(np.repeat(np.arange(-HALF, HALF), found.counts)[[0]], np.floor(np.float32(-greatest) / reach * HALF))


def test_a_tensor_of_zeros_has_a_range() -> None:
    for method in METHODS.values():
        assert method(values([0, 0], [0, 0])) == (0, 0)


def test_min_max_and_average() -> None:
    found = values([-1, 4], [-3, 2], [0, 9])
    assert min_max(found) == (-3, 9)
    assert average(found).low == pytest.approx(-4 / 3)
    assert average(found).high == 5


def test_percentile_and_entropy_leave_out_an_outlier() -> None:
    """Of 100,001 values, one is 60 times as large as the others."""
    found = values(*normal(100), [250.0])
    assert min_max(found).high == 250
    assert 3.5 < percentile(found).high < 5
    assert -5 < percentile(found).low < -3.5
    assert entropy(found).high < 125


def prepared(folder: Path, graph: bytes) -> Path:
    (folder / "float32.onnx").write_bytes(graph)
    quant_pre_process(str(folder / "float32.onnx"), str(folder / "prepared.onnx"), skip_symbolic_shape=True)
    return folder / "prepared.onnx"


def tensors(count: int = 20) -> Iterator[NDArray[np.float32]]:
    model = Model.load(description(), digits_graph())
    return (model.preprocessor(picture) for picture in digits()[0][:count])


def test_one_sample_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's calibrators for percentiles and entropy keep all tensors of all samples."""
    alive: list[weakref.ref[Any]] = []
    most = 0
    add = Activation.add

    def watched(self: Activation, array: NDArray[np.float32]) -> None:
        nonlocal most
        alive.append(weakref.ref(array))
        most = max(most, sum(each() is not None for each in alive))
        add(self, array)

    monkeypatch.setattr(Activation, "add", watched)
    found = collect(prepared(tmp_path, conv_graph()), "x", tensors())
    assert len(alive) == 20 * len(found)
    assert most <= 2 * len(found)


def test_a_large_graph_gives_its_tensors_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = prepared(tmp_path, conv_graph())
    expected = collect(graph, "x", tensors())
    monkeypatch.setattr(activations, "GROUP_BYTES", 1)
    found = collect(graph, "x", tensors())
    assert {name: min_max(each) for name, each in found.items()} == {name: min_max(each) for name, each in expected.items()}
    assert all((found[name].counts == each.counts).all() for name, each in expected.items())


def test_numbers_that_are_not_finite_have_no_range(tmp_path: Path) -> None:
    model = onnx.load_from_string(conv_graph())
    weights = next(each for each in model.graph.initializer if each.name == "filters")
    weights.CopyFrom(onnx.numpy_helper.from_array(np.full((16, 1, 3, 3), np.inf, np.float32), "filters"))
    with pytest.raises(NotConvertible, match=r"tensor '\w+' of the float32 graph cannot be given a range: a value is not finite"):
        collect(prepared(tmp_path, bytes(model.SerializeToString())), "x", tensors())


def test_without_samples_there_are_no_ranges(tmp_path: Path) -> None:
    with pytest.raises(NotConvertible, match="no sample to calibrate with"):
        collect(prepared(tmp_path, conv_graph()), "x", iter(()))
