"""How much golden cases tolerate, from measured differences."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bramble.contracts.images import ImageInput
from bramble.contracts.package import MAX_CASES
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.convert.tolerance import CHANCE, MOST_SAMPLES, count_alternatives, count_samples, steady, tolerated
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import Form
from bramble_workloads.runtimes.onnx.alternatives import alternatives
from bramble_workloads.runtimes.onnx.quantize import candidates
from tests.unit.workloads.graphs import conv_graph
from tests.unit.workloads.models import description, digits, digits_graph


def test_a_device_refuses_at_most_once_in_ten_thousand() -> None:
    """The differences of outputs have tails like a normal distribution's. The true probability is known here."""
    refusals = []
    for seed in range(200):
        found = np.abs(np.random.default_rng(seed).normal(size=2000))
        beyond = math.erfc(tolerated(found) / math.sqrt(2))
        refusals.append(1 - (1 - beyond) ** MAX_CASES)
    assert np.max(refusals) < CHANCE


def test_a_device_refuses_seldom_even_with_an_exponential_tail() -> None:
    """The heaviest tail that is reckoned with, estimated from as few samples as there are."""
    refusals = [MAX_CASES * math.exp(-tolerated(np.random.default_rng(seed).exponential(size=2000))) for seed in range(200)]
    assert np.mean(refusals) < CHANCE


def test_equal_outputs_differ_by_nothing() -> None:
    assert tolerated(np.zeros(1000)) == 0


def test_few_samples_need_more_alternatives_and_large_tensors_fewer_samples() -> None:
    assert [count_alternatives(samples) for samples in (4, 40, 128)] == [64, 50, 16]
    assert count_samples(description()) == MOST_SAMPLES
    large = description(input=ImageInput(tensor=Tensor(name="x", shape=(1, 3, 1024, 1024), layout="NCHW")))
    assert count_samples(large) == 5
    huge = description(input=ImageInput(tensor=Tensor(name="x", shape=(1, 3, 4096, 4096), layout="NCHW")))
    assert count_samples(huge) == 1


def test_an_answer_is_steady_if_no_difference_within_the_tolerance_changes_it() -> None:
    model = Model.load(description(), digits_graph())
    row = np.zeros(10, np.float32)
    row[3], row[7] = 1.0, 0.5
    assert steady(model, row, 0.24)
    assert not steady(model, row, 0.26)


def test_the_alternatives_of_a_graph_compute_nearly_the_same(tmp_path: Path) -> None:
    model = Model.load(description(), conv_graph())
    tensors = [model.preprocessor(picture) for picture in digits()[0][:100]]
    (tmp_path / "float32.onnx").write_bytes(conv_graph())
    ways = candidates(tmp_path / "float32.onnx", description().input.tensor, iter(tensors), tmp_path)
    form = next(iter(ways.values()))()
    assert form.quantised is not None
    here = Model.load(description(), form.graph)
    rows = {
        number: [graph.run(tensor)["logits"] for tensor in tensors] for number, graph in enumerate(alternatives(form, description(), 4))
    }
    assert len(rows) == 4
    expected = [here.run(tensor)["logits"] for tensor in tensors]
    differences = {number: max(float(np.abs(a - b).max()) for a, b in zip(row, expected, strict=True)) for number, row in rows.items()}
    assert all(differences[number] > 0 for number in (1, 2, 3)), "other scales round some numbers otherwise"
    assert len(set(differences.values())) == 4, "each in its own way"
    assert form.quantised.step is not None
    assert max(differences.values()) < 8 * form.quantised.step


def test_a_float_graph_has_one_alternative(tmp_path: Path) -> None:
    (tmp_path / "float32.onnx").write_bytes(conv_graph())
    assert len(list(alternatives(Form(tmp_path / "float32.onnx"), description(), 16))) == 1
