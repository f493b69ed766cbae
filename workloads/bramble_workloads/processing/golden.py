"""Golden cases: a few inputs with the expected result of each stage. They detect a board that computes other results before it serves.

The converter makes them. The converter, each board and each device check them before a package serves. Each stage starts from the stored
result of the stage before, so that a difference in resizing is not reported as a difference in the graph.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.canonical import digest_of
from bramble.contracts.package import Golden, GoldenCase, GoldenTolerance, ModelDescription
from bramble_workloads.errors import BadData
from bramble_workloads.processing.errors import InputError, ModelFault
from bramble_workloads.processing.model import Model

MAX_BYTES = 2 * 1024 * 1024
HEADER_BYTES = 4096
"""An upper bound on the `.npy` header of a numeric array."""

Stage = Literal["tensor", "raw", "decoded", "answer"]
Floats = NDArray[np.float32]
ReadBlob = Callable[[str], bytes]


class GoldenOutcome(NamedTuple):
    """The result of a check: passed, or the first case that failed, with its stage and the figures."""

    passed: bool
    message: str = ""
    case: int | None = None
    stage: Stage | None = None


class MadeCase(NamedTuple):
    """A golden case and its blobs by digest, to be uploaded."""

    case: GoldenCase
    blobs: dict[str, bytes]


def make_case(model: Model, content: bytes) -> MadeCase:
    """Make a golden case: run one input through every stage of a model whose results are the reference.

    Raises:
        InputError: the input cannot be processed.
        ModelFault: the graph fails on it.
    """
    tensor = model.preprocessor(content)
    outputs = model.run(tensor)
    parts = [content, encode_array(tensor), encode_array(flatten(model.description, outputs))]
    digests = [digest_of(part) for part in parts]
    decoded = model.decode(outputs).document().model_dump(mode="json", by_alias=True, exclude_none=True)
    case = GoldenCase(input=digests[0], tensor=digests[1], raw=digests[2], decoded=decoded)
    return MadeCase(case, dict(zip(digests, parts, strict=True)))


def check(model: Model, golden: Golden, read_blob: ReadBlob) -> GoldenOutcome:
    """Run the cases in order and stop at the first that fails.

    Args:
        model: the package's model, loaded on this machine.
        golden: the golden cases of its package.
        read_blob: returns the verified bytes of a blob, by digest.
    """
    for position, case in enumerate(golden.cases):
        failure = _check_case(model, golden.tolerance, case, read_blob)
        if failure is not None:
            stage, message = failure
            return GoldenOutcome(False, f"golden case {position} fails at stage {stage}: {message}", position, stage)
    return GoldenOutcome(True)


def _check_case(model: Model, tolerance: GoldenTolerance, case: GoldenCase, read_blob: ReadBlob) -> tuple[Stage, str] | None:
    description = model.description
    expected_tensor = decode_array(read_blob(case.tensor), description.input.tensor.shape, description.input.tensor.dtype)
    expected_raw = decode_array(read_blob(case.raw), (row_length(description),))
    try:
        tensor = model.preprocessor(read_blob(case.input))
    except InputError as error:
        return "tensor", str(error)
    difference = greatest_difference(tensor, expected_tensor)
    if not difference <= tolerance.tensor:
        return (
            "tensor",
            f"preprocessing differs by {difference:.3g}, tolerance {tolerance.tensor:.3g}: this machine makes a different tensor",
        )
    try:
        outputs = model.run(expected_tensor)
    except ModelFault as fault:
        return "raw", str(fault)
    difference = greatest_difference(flatten(description, outputs), expected_raw) / tolerance.step
    if not difference <= tolerance.raw:
        unit = "" if tolerance.step == 1 else f" quantisation steps of {tolerance.step:.3g}"
        return "raw", f"outputs differ by {difference:.3g}{unit}, tolerance {tolerance.raw:.3g}: this machine computes different outputs"
    decoded = model.decode(unflatten(description, expected_raw))
    if difference_found := decoded.difference(case.decoded):
        return "decoded", difference_found
    try:
        answer = model.decode(outputs)
    except ModelFault as fault:
        return "raw", str(fault)
    if decoded.margin > tolerance.margin and not answer.agrees(decoded.truth()):
        return "answer", f"{answer}, expected {decoded} by a margin of {decoded.margin:.3f}"
    return None


def greatest_difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest absolute difference of two arrays; infinite where the shapes differ or a value is not a number."""
    if found.shape != expected.shape:
        return float("inf")
    difference = float(np.max(np.abs(found.astype(np.float64) - expected.astype(np.float64)), initial=0.0))
    return float("inf") if np.isnan(difference) else difference


def row_length(description: ModelDescription) -> int:
    """How many numbers all outputs have together."""
    return sum(int(np.prod(output.shape)) for output in description.outputs)


def flatten(description: ModelDescription, outputs: Mapping[str, Floats]) -> Floats:
    """Join all outputs, in the package's order, into one row. This is the content of the `raw` blob of a case."""
    return np.concatenate([outputs[output.name].reshape(-1) for output in description.outputs]).astype(np.float32)


def unflatten(description: ModelDescription, row: Floats) -> dict[str, Floats]:
    """The inverse of `flatten`."""
    outputs: dict[str, Floats] = {}
    start = 0
    for output in description.outputs:
        size = int(np.prod(output.shape))
        outputs[output.name] = row[start : start + size].reshape(output.shape)
        start += size
    return outputs


def encode_array(array: NDArray[Any]) -> bytes:
    """Encode an array as a gzipped `.npy` without pickle or time stamp, so that equal arrays give equal bytes.

    A normalised picture shrinks to a third.
    """
    plain = io.BytesIO()
    np.save(plain, np.ascontiguousarray(array), allow_pickle=False)
    return gzip.compress(plain.getvalue(), compresslevel=6, mtime=0)


def decode_array(content: bytes, shape: Sequence[int], dtype: str = "float32") -> NDArray[Any]:
    """Read an array that `encode_array` wrote. At most the bytes of the expected shape are decompressed.

    Raises:
        BadData: the content is not such a file, or the array has another shape or type.
    """
    limit = int(np.prod(shape)) * np.dtype(dtype).itemsize + HEADER_BYTES
    try:
        plain = zlib.decompressobj(wbits=31).decompress(content, limit)  # 31: a gzip header is expected
        array = np.load(io.BytesIO(plain), allow_pickle=False)
    except (zlib.error, ValueError, EOFError, OSError) as error:
        raise BadData(f"a golden array cannot be read: {error}") from error
    if array.shape != tuple(shape) or array.dtype != np.dtype(dtype):
        raise BadData(f"a golden array is {array.dtype} {list(array.shape)}; the package needs {dtype} {list(shape)}")
    return np.asarray(array)
