"""The parts of the training program that need no network: order, schedule, hyperparameters."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from bramble.contracts.hyperparameters import Hyperparameters
from bramble_workloads.errors import SpecError
from bramble_workloads.train.entry import specified
from bramble_workloads.train.sampling import batches, epoch_order, smallest_batch
from bramble_workloads.train.schedule import learning_rate

counts, sizes, worlds = st.integers(1, 200), st.integers(1, 16), st.integers(1, 4)


@given(counts, sizes, worlds)
def test_all_ranks_together_see_every_sample_once(count: int, size: int, world: int) -> None:
    order = epoch_order(count, seed=7, epoch=3)
    ranks = [list(batches(order, size, rank, world)) for rank in range(world)]
    shapes = {tuple(len(batch) for batch in rank) for rank in ranks}
    assert len(shapes) == 1, "ranks that do not step together would wait for each other for ever"
    seen = np.concatenate([batch for rank in ranks for batch in rank])
    left_out = count - len(set(seen.tolist()))
    assert left_out < 2 * world
    assert len(seen) - len(set(seen.tolist())) < world


@given(counts, sizes, worlds, st.integers(0, 20))
def test_an_epoch_goes_on_where_it_stopped(count: int, size: int, world: int, done: int) -> None:
    order = epoch_order(count, 7, 0)
    whole = list(batches(order, size, 0, world))
    rest = list(batches(order, size, 0, world, start=min(count, done * size * world)))
    assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in whole[done:]]


@pytest.mark.parametrize(
    ("count", "size", "world", "smallest"),
    [
        pytest.param(16, 8, 1, 8, id="whole batches"),
        pytest.param(19, 8, 1, 3, id="the last batch is smaller"),
        pytest.param(17, 8, 1, 8, id="a last batch of one is left out"),
        pytest.param(3, 8, 2, 2, id="the only batch is filled up"),
        pytest.param(2, 8, 2, 1, id="the only batch gives each rank one"),
        pytest.param(9, 1, 1, 1, id="a batch of one is asked for"),
    ],
)
def test_the_smallest_batch(count: int, size: int, world: int, smallest: int) -> None:
    assert smallest_batch(count, size, world) == smallest


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert tuple(epoch_order(50, 1, 1).tolist()) in orders


def wanted(**values: Any) -> Hyperparameters:
    return Hyperparameters.model_validate({"epochs": 10, "learningRate": 0.1, **values})


@pytest.mark.parametrize(
    ("values", "begins", "rate"),
    [
        ({"scheduler": "constant"}, 0, 0.1),
        ({"scheduler": "constant"}, 9.9, 0.1),
        ({"scheduler": "cosine"}, 0, 0.1),
        ({"scheduler": "cosine"}, 5, 0.05),
        ({"scheduler": "cosine"}, 9.9, 0.1 * 0.5 * (1 - np.cos(np.pi / 100))),
        ({"scheduler": "constant", "warmupEpochs": 1}, 0, 0.1 / 11),
        ({"scheduler": "constant", "warmupEpochs": 1}, 0.9, 0.1 * 10 / 11),
        ({"scheduler": "cosine", "warmupEpochs": 2}, 6, 0.05),
    ],
)
def test_the_learning_rate_of_a_step_of_a_tenth_epoch(values: dict[str, Any], begins: float, rate: float) -> None:
    assert learning_rate(begins, begins + 0.1, wanted(**values)) == pytest.approx(rate)


def test_the_learning_rate_keeps_its_course_when_half_of_the_ranks_are_gone() -> None:
    after = wanted(scheduler="cosine", warmupEpochs=1)
    for begins in np.arange(1, 10, 0.1):
        assert learning_rate(begins, begins + 0.05, after) == learning_rate(begins, begins + 0.1, after)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"epoch": 3}, "epoch is not known; there are epochs, batchSize, learningRate, optimizer"),
        ({"augment": {"invert": True}}, "augment.invert is not known; there are shift, flip, brightness"),
        ({"earlyStopping": {"wait": 3}}, "earlyStopping.wait is not known; there are patience, metric, minDelta"),
        ({"optimizer": "lion"}, "optimizer: Input should be 'adamw', 'adam' or 'sgd' (is 'lion')"),
        ({"epochs": 0}, "epochs: Input should be greater than or equal to 1 (is 0)"),
        ({"epochs": 3, "warmupEpochs": 3}, "warmupEpochs is 3 of 3 epochs: it must be less"),
    ],
)
def test_a_hyperparameter_that_cannot_be_is_named_with_what_can(values: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAMBLE_TRAINER", '{"task": "image-classification", "architecture": "small-cnn"}')
    monkeypatch.setenv("BRAMBLE_PARAMS", json.dumps(values))
    with pytest.raises(SpecError) as caught:
        specified()
    assert says in str(caught.value)
