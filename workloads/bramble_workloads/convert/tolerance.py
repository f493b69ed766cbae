"""Measures how far the outputs of a graph may differ on another processor, for the golden cases of its package.

The tolerance must never refuse a good package by chance, and must be small enough to notice a wrong one. So it is measured for each graph:
how far its alternatives differ (`Converter.alternatives`) on pictures of the validation split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.package import MAX_CASES, ModelDescription
from bramble_workloads.processing.golden import Floats, flatten, greatest_difference, unflatten
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.base import Graph
from bramble_workloads.tasks.base import Outputs

CHANCE = 1e-4
"""The greatest probability with which a device may refuse a good package."""
MARGIN = 10
"""The tail is estimated from some samples, so the tolerance is made for a probability that is so many times smaller. From half as many
samples, the estimate was wrong by up to 6 times (benchmarks/int8.py)."""
TAIL = 0.1
"""The share of the differences, the largest ones, that the tail is estimated from."""
DIFFERENCES = 2000
"""How many differences are measured."""
MOST_SAMPLES = 128
MOST_BYTES = 64 * 2**20
"""The samples that are measured, and their tensors in all."""
FEWEST, MOST = 16, 64
"""Alternatives. Few samples need more of them."""
CORNERS = 32


class Measured(NamedTuple):
    """A sample's tensor, and the graph's outputs for it here."""

    tensor: Floats
    outputs: Outputs


def count_samples(description: ModelDescription) -> int:
    """How many samples can be measured with the memory of a job."""
    tensor = description.input.tensor
    return max(1, min(MOST_SAMPLES, MOST_BYTES // (math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize)))


def count_alternatives(samples: int) -> int:
    """How many alternatives give enough differences with so many samples."""
    return max(FEWEST, min(MOST, math.ceil(DIFFERENCES / samples)))


def differences(description: ModelDescription, samples: Sequence[Measured], alternatives: Iterator[Graph]) -> NDArray[np.float64]:
    """The greatest difference of an output, in its own units, for each alternative and sample [alternatives * samples].

    Raises:
        ModelFault: an alternative fails on a sample.
    """
    return np.array(
        [
            greatest_difference(flatten(description, graph.run(sample.tensor)), flatten(description, sample.outputs))
            for graph in alternatives
            for sample in samples
        ]
    )


def tolerated(found: NDArray[np.float64]) -> float:
    """The difference that one of `MAX_CASES` cases exceeds with a probability of `CHANCE / MARGIN`, in the units of the differences.

    Beyond the largest tenth of the differences, the tail is taken to fall exponentially, as fast as that tenth does. This is the method of
    peaks over a threshold (J. Pickands, 1975) with the shape of an exponential. Differences of outputs are sums of many roundings, so their
    tail falls faster, and the result is on the safe side.

    Args:
        found: measured differences.
    """
    threshold = float(np.quantile(found, 1 - TAIL))
    beyond = found[found > threshold] - threshold
    if not len(beyond):
        return threshold
    return threshold + float(beyond.mean()) * math.log(TAIL * MAX_CASES * MARGIN / CHANCE)


def steady(model: Model, row: Floats, difference: float) -> bool:
    """Whether the answer stays the same wherever no output differs by more than `difference`, tried with the largest differences.

    Args:
        model: decodes outputs.
        row: all outputs in one row.
        difference: in the outputs' own units.
    """
    answer = model.decode(unflatten(model.description, row))
    signs = np.random.default_rng(0).choice(np.array([-difference, difference], np.float32), (CORNERS, len(row)))
    return all(model.decode(unflatten(model.description, row + each)).agrees(answer.truth()) for each in signs)
