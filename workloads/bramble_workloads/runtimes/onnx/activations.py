"""Collects which numbers the tensors of a float32 graph take on calibration samples.

ONNX Runtime's own calibrators keep every tensor of every sample in memory, unless they look for the least and greatest value only. Here
one sample's tensors are in memory at a time, and only counts are kept of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import CalibraterBase
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from bramble_workloads.runtimes.base import Floats
from bramble_workloads.runtimes.converter import NotConvertible
from bramble_workloads.runtimes.onnx.run import open_session

HALF = 2048
"""Bins of a histogram on each side of zero. At least half of them are within the range of the values."""
LEAST_REACH = 2.0**-100
"""The reach of a tensor of zeros."""
GROUP_BYTES = 256 * 2**20
"""The most bytes of one sample's tensors that are fetched from the graph at once. A larger graph runs several times for each sample."""
FLOAT_BYTES = 4


class Activation:
    """The values of one tensor on all samples.

    Nothing depends on the order of the samples: the bins lie between powers of two, so that doubling the reach joins pairs of bins exactly.
    """

    def __init__(self) -> None:
        self._lowest: list[float] = []
        self._highest: list[float] = []
        self._exponent: int | None = None
        self.counts: NDArray[np.int64] = np.zeros(2 * HALF, np.int64)
        """How many values lie in each of the equal bins from -`reach` to `reach`."""

    def add(self, values: Floats) -> None:
        """Count the values of one sample.

        Raises:
            ValueError: a value is not finite.
        """
        low, high = float(values.min()), float(values.max())
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError("a value is not finite")
        self._lowest.append(low)
        self._highest.append(high)
        self._widen(max(abs(low), abs(high)))
        bins = np.floor(values.reshape(-1) * np.float32(HALF / self.reach)).astype(np.int32) + HALF
        self.counts += np.bincount(np.minimum(bins, 2 * HALF - 1), minlength=2 * HALF)

    @property
    def reach(self) -> float:
        """The least power of two that no value exceeds, in the tensor's own units."""
        return 2.0 ** (self._exponent or 0)

    @property
    def lowest(self) -> NDArray[np.float64]:
        """The least value of each sample, in ascending order [samples]."""
        return np.sort(np.array(self._lowest))

    @property
    def highest(self) -> NDArray[np.float64]:
        """The greatest value of each sample, in ascending order [samples]."""
        return np.sort(np.array(self._highest))

    def _widen(self, greatest: float) -> None:
        needed = math.frexp(max(greatest, LEAST_REACH))[1]
        if 2.0 ** (needed - 1) >= greatest:  # frexp(4.0) is (0.5, 3)
            needed -= 1
        if self._exponent is None:
            self._exponent = needed
        while self._exponent < needed:
            joined = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([np.zeros(HALF // 2, np.int64), joined, np.zeros(HALF // 2, np.int64)])
            self._exponent += 1


def collect(graph: Path, name: str, tensors: Iterator[Floats]) -> dict[str, Activation]:
    """Run the graph on samples, and count the values of every tensor that ONNX Runtime's quantiser needs a range for.

    Args:
        graph: a float32 ONNX file that `prepare` wrote.
        name: the name of its input.
        tensors: preprocessed samples, each in the input's shape.

    Raises:
        NotConvertible: there is no sample, or a tensor has values that are not finite.
    """
    calibrater = CalibraterBase(graph, sorted({*QLinearOpsRegistry, *QDQRegistry}))
    wanted, infos = calibrater.select_tensors_to_calibrate(calibrater.model)
    found = {tensor: Activation() for tensor in sorted(wanted)}
    inner = [tensor for tensor in found if tensor != name]
    sessions = [(group, _session(calibrater.model, group, infos)) for group in _groups(inner, infos)]
    samples = 0
    for sample in tensors:
        samples += 1
        if name in found:
            _add(found, [name], [sample])
        for group, session in sessions:
            _add(found, group, session.run(group, {name: sample}))
    if samples == 0:
        raise NotConvertible("there is no sample to calibrate with")
    return found


def _add(found: dict[str, Activation], names: Sequence[str], arrays: Sequence[Floats]) -> None:
    for tensor, array in zip(names, arrays, strict=True):
        try:
            found[tensor].add(array)
        except ValueError as error:
            raise NotConvertible(f"tensor {tensor!r} of the float32 graph cannot be given a range: {error}") from error


def _groups(tensors: Sequence[str], infos: dict[str, onnx.ValueInfoProto]) -> list[list[str]]:
    """Split tensors into groups of at most `GROUP_BYTES`, or of one tensor."""
    groups: list[list[str]] = []
    filled = GROUP_BYTES
    for tensor in tensors:
        # A dimension that depends on values, such as NonZero's, has no size before the graph runs and counts as 1.
        size = FLOAT_BYTES * math.prod(dim.dim_value or 1 for dim in infos[tensor].type.tensor_type.shape.dim)
        if filled + size > GROUP_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += size
    return groups


def _session(model: onnx.ModelProto, tensors: Sequence[str], infos: dict[str, onnx.ValueInfoProto]) -> onnxruntime.InferenceSession:
    """The graph with these tensors as outputs, without optimisations, which would remove some of them."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    present = {output.name for output in opened.graph.output}
    opened.graph.output.extend(infos[tensor] for tensor in tensors if tensor not in present)
    return open_session(opened.SerializeToString(), threads=1, optimised=False)
