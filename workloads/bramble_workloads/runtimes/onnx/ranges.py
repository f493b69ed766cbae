"""The methods that choose the range of an int8 tensor from the values that it took: values outside of it are clipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector

from bramble_workloads.runtimes.onnx.activations import HALF, Activation

CLIPPED = 1e-4
"""The share of the values that `percentile` clips, half of them at each end."""
ENTROPY_BINS = 512
"""Bins of the histogram that `entropy` searches. Its time grows with their square."""
LEVELS = 128
"""Bins to which `entropy` reduces it, as in the method's source."""


class Range(NamedTuple):
    """The least and the greatest value that int8 stands for, in the tensor's own units."""

    low: float
    high: float


def min_max(values: Activation) -> Range:
    """All values of all samples. Nothing is clipped, and one outlier makes every step large."""
    return Range(float(values.lowest[0]), float(values.highest[-1]))


def average(values: Activation) -> Range:
    """The mean over the samples of their least and of their greatest values. ONNX Runtime calls it a moving average."""
    return Range(float(values.lowest.mean()), float(values.highest.mean()))


def percentile(values: Activation) -> Range:
    """All values but the outermost ones."""
    share = np.cumsum(values.counts) / values.counts.sum()
    width = values.reach / HALF
    first = int(np.searchsorted(share, CLIPPED / 2, side="right")) - HALF
    last = int(np.searchsorted(share, 1 - CLIPPED / 2)) + 1 - HALF
    widest = min_max(values)
    return Range(max(widest.low, first * width), min(widest.high, last * width))


def entropy(values: Activation) -> Range:
    """The range, symmetric around zero, whose int8 values have the distribution with the least divergence from that of the values.

    Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017; this is ONNX Runtime's implementation of it.
    """
    widest = min_max(values)
    if widest.low == widest.high:
        return widest
    counts = values.counts.reshape(ENTROPY_BINS, -1).sum(axis=1)
    edges = np.linspace(-values.reach, values.reach, ENTROPY_BINS + 1, dtype=np.float32)
    collector = HistogramCollector("entropy", False, ENTROPY_BINS, LEVELS, 100.0, "same")
    low, high = collector.get_entropy_threshold((counts, edges, *map(np.float32, widest)), LEVELS)
    return Range(float(low), float(high))


METHODS: Mapping[str, Callable[[Activation], Range]] = {
    "average": average,
    "percentile": percentile,
    "min-max": min_max,
    "entropy": entropy,
}
"""Every method, in the order in which they are preferred where they answer equally well."""
