"""The Open Inference Protocol, version 2, REST with the extensions for binary tensor data and classification: requests read, answers
written. Pure.

A picture is one input `image`, datatype BYTES, shape [1], base64 in JSON or raw in the binary extension; a tensor uses its own name.
Sources: https://github.com/kserve/open-inference-protocol (inference_rest, extension_binary_data) and
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_classification.html.
"""

from __future__ import annotations

import binascii
import math
import struct
from http import HTTPStatus
from typing import Any, NamedTuple

import numpy as np
import pybase64
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json

from bramble.contracts.base import first_problem
from bramble.contracts.package import Package
from bramble.contracts.runtimes import by_runtime
from bramble_workloads.edge.serve.http.messages import HttpError
from bramble_workloads.processing.model import Prediction
from bramble_workloads.tasks.catalogue import task_of

BINARY_HEADER = "Inference-Header-Content-Length"
JSON = "application/json"
BINARY = "application/octet-stream"
PICTURE = "image"
MAX_ID = 256
EXTENSIONS = ("binary_tensor_data", "classification")
CLASSIFICATION = "classification"
"""The parameter of an output that asks for its highest values only, with their classes."""
NUMBERS = "iuf"
"""NumPy's kinds of numbers: integers and floats. Texts, true and null have other kinds."""
DATATYPES = {"float32": "FP32", "uint8": "UINT8", "int64": "INT64"}
DATATYPE_OF_KIND = {"f": "FP32", "i": "INT64", "O": "BYTES"}
"""By numpy's kind of dtype; texts are arrays of Python objects."""
LITTLE_ENDIAN = {"FP32": "<f4", "INT64": "<i8"}
MAX_DIGITS = 10
SCORES = 2
"""The dimensions of an output of scores: [1, classes]."""
JSON_OVERHEAD = 64 * 1024
TEXT_NUMBER = 24
"""Bytes that one float32 may take in JSON."""
OTHER_VALUES = 4096
"""Values, lists and objects that a request may have in JSON beside the numbers of its tensor. An empty object of two bytes takes half a
kilobyte of memory once it is parsed."""


class _Input(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: Any = None


class _Wanted(BaseModel):
    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class _Request(BaseModel):
    id: str | None = Field(None, max_length=MAX_ID)
    inputs: list[_Input]
    outputs: list[_Wanted] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)


class Wanted(NamedTuple):
    """One output of the answer, whether its data is wanted raw, and how many of its classes are wanted: 0 for the output itself."""

    name: str
    binary: bool
    classes: int = 0


class Inference(NamedTuple):
    """A request that was understood."""

    id: str | None
    content: bytes | NDArray[np.float32]
    """The picture's bytes, or the graph's tensor."""
    wanted: tuple[Wanted, ...]


class Answer(NamedTuple):
    """A body, its content type, and the length of its JSON part where binary data follows."""

    body: bytes
    content_type: str
    header_length: int | None


class Interface:
    """What requests for a package may hold. It is made once for a package, because every request needs it.

    Attributes:
        package: the package.
        limit: the most bytes that a request may have: the largest picture in base64, or the tensor as text.
        outputs: the names of all outputs.
        scores: the outputs of the graph that are one row of scores, and how many.
        all_json: all outputs, as JSON.
        all_binary: all outputs, as raw data.
        structure: how often each character that makes a value in JSON may occur.
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        numbers = math.prod(package.input.tensor.shape)
        self.limit = max(package.input.max_bytes * 4 // 3, numbers * TEXT_NUMBER) + JSON_OVERHEAD
        lists = sum(math.prod(package.input.tensor.shape[:depth]) for depth in range(len(package.input.tensor.shape)))
        self.structure = ((b"{", OTHER_VALUES), (b"[", OTHER_VALUES + lists), (b",", OTHER_VALUES + lists + numbers))
        names = [*(each.name for each in task_of(package.task).answer_tensors), *(output.name for output in package.outputs)]
        self.outputs = frozenset(names)
        self.scores = {output.name: output.shape[1] for output in package.outputs if len(output.shape) == SCORES and output.shape[0] == 1}
        self.all_json = tuple(Wanted(name, False) for name in names)
        self.all_binary = tuple(Wanted(name, True) for name in names)


def parse(body: bytes | bytearray | memoryview, content_type: str, header_length: str | None, interface: Interface) -> Inference:
    """Read a request. A tensor may share its memory with the body.

    Raises:
        HttpError: 400 where it is malformed, 413 where its JSON has too many values, 415 where its media type is neither JSON nor the
            binary extension's.
    """
    if content_type not in {JSON, BINARY, ""}:
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type is {content_type}: send {JSON}, or {BINARY} with {BINARY_HEADER}"
        )
    text, raw = _split(body, header_length)
    if len(text) > JSON_OVERHEAD:
        _require_few_values(text, interface)
    try:
        request = _Request.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid" and header_length is None and content_type != JSON:
            stated = content_type or "not stated"
            raise _bad(
                f"the body is not JSON alone, the content type is {stated} and the header {BINARY_HEADER} is missing: "
                "set it to the number of bytes of the JSON before the raw data"
            ) from None
        raise _bad(f"the request is not one of the protocol: {first_problem(error)}") from None
    if len(request.inputs) != 1:
        name = interface.package.input.tensor.name
        raise _bad(f"the request has {len(request.inputs)} inputs: send one, {PICTURE!r} or {name!r}")
    return Inference(request.id, _content(request.inputs[0], raw, interface.package), _wanted(request, interface))


def _require_few_values(text: bytes | bytearray, interface: Interface) -> None:
    for character, most in interface.structure:
        if (count := text.count(character)) > most:
            message = f"the JSON has {count} times {character.decode()!r}: {most} are enough for any request of this model"
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def json_length(header: str | None) -> int | None:
    """The number in the header `Inference-Header-Content-Length`; None if it is absent or no number that a body could have."""
    return int(header) if header is not None and header.isdecimal() and len(header) <= MAX_DIGITS else None


def answer(package: Package, digest: str, request_id: str, prediction: Prediction, name: str, wanted: tuple[Wanted, ...]) -> Answer:
    """Write an answer: the outputs that were asked for, JSON first, raw data after it."""
    outputs: list[dict[str, Any]] = []
    raw: list[bytes] = []
    arrays: dict[str, NDArray[Any]] = {**prediction.answer.tensors(), **prediction.outputs}
    for output in wanted:
        array = arrays[output.name]
        document, data = _output(output, _highest(array, output.classes, package) if output.classes else array)
        outputs.append(document)
        raw.append(data)
    text = to_json(
        {"model_name": name, "model_version": package.version, "id": request_id, "parameters": {"package": digest}, "outputs": outputs}
    )
    binary = b"".join(raw)
    return Answer(text + binary, BINARY, len(text)) if binary else Answer(text, JSON, None)


def metadata(package: Package, digest: str, name: str) -> dict[str, Any]:
    """`GET /v2/models/<name>`. `versions` has the only version that a path may name, that of the package that serves.

    A request has one input, and clients that build one from `inputs` send all that are listed. So the graph's own tensor, which may be sent
    instead of a picture, stands in `parameters`.
    """
    tensor = package.input.tensor
    return {
        "name": name,
        "versions": [package.version],
        "platform": f"{package.variant.runtime}_{by_runtime(package.variant.runtime).format}",
        "inputs": [{"name": PICTURE, "datatype": "BYTES", "shape": [1]}],
        "outputs": [
            *({"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in task_of(package.task).answer_tensors),
            *({"name": output.name, "datatype": DATATYPES[output.dtype], "shape": list(output.shape)} for output in package.outputs),
        ],
        "parameters": {
            "package": digest,
            "tensor_name": tensor.name,
            "tensor_datatype": DATATYPES[tensor.dtype],
            "tensor_shape": ",".join(map(str, tensor.shape)),
        },
    }


def _split(body: bytes | bytearray | memoryview, header: str | None) -> tuple[bytes | bytearray, memoryview]:
    if header is None:
        return bytes(body) if isinstance(body, memoryview) else body, memoryview(b"")
    length = json_length(header)
    if length is None or length > len(body):
        raise _bad(f"{BINARY_HEADER} is {header[:MAX_DIGITS]!r} for a body of {len(body)} bytes")
    return bytes(body[:length]), memoryview(body)[length:]


def _content(given: _Input, raw: memoryview, package: Package) -> bytes | NDArray[np.float32]:
    size = given.parameters.get("binary_data_size")
    if size is not None and (not isinstance(size, int) or size != len(raw)):
        raise _bad(f"input {given.name!r} states binary_data_size {size!r} and {len(raw)} bytes follow the JSON")
    tensor = package.input.tensor
    if given.name == PICTURE:
        if given.datatype != "BYTES" or given.shape != [1]:
            raise _bad(f"input {PICTURE!r} is {given.datatype} {given.shape}: a picture is BYTES [1]")
        return _picture_raw(raw) if size is not None else _picture_text(given.data)
    if given.name == tensor.name:
        if given.datatype != "FP32" or tuple(given.shape) != tensor.shape:
            raise _bad(f"input {tensor.name!r} is {given.datatype} {given.shape}: this model takes FP32 {list(tensor.shape)}")
        return _tensor_raw(raw, tensor.shape) if size is not None else _tensor_text(given.data, tensor.shape)
    raise _bad(f"input {given.name!r} is none of this model's: send {PICTURE!r} or {tensor.name!r}")


def _picture_raw(raw: memoryview) -> bytes:
    if len(raw) < 4 or struct.unpack_from("<I", raw)[0] != len(raw) - 4:  # noqa: PLR2004  (the element's length, little-endian)
        raise _bad("a BYTES element begins with its length as 4 bytes, little-endian, and this one does not")
    return bytes(raw[4:])


def _picture_text(data: Any) -> bytes:
    match data:
        case [str(text)] | str(text):
            try:
                return pybase64.b64decode(text, validate=True)
            except (binascii.Error, ValueError) as error:
                raise _bad(f"input {PICTURE!r} is not base64: {error}") from None
        case _:
            raise _bad(f"input {PICTURE!r} has no data: send one base64 string, or the binary extension")


def _tensor_raw(raw: memoryview, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if len(raw) != math.prod(shape) * 4:
        raise _bad(f"{len(raw)} bytes for a tensor of {list(shape)} FP32: {math.prod(shape) * 4} are needed")
    return np.require(np.frombuffer(raw, "<f4").reshape(shape), np.float32, "A")  # copies a tensor that is not aligned


def _tensor_text(data: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        given = np.asarray(data)
    except (TypeError, ValueError, OverflowError) as error:
        raise _bad(f"the tensor's data are not numbers: {error}") from None
    if given.dtype.kind not in NUMBERS:
        raise _bad("the tensor's data are not numbers: each must be a JSON number that FP32 can hold")
    with np.errstate(over="ignore"):  # a number that FP32 cannot hold becomes infinite
        flat = given.astype(np.float32)
    if flat.size != math.prod(shape):
        raise _bad(f"{flat.size} numbers for a tensor of {list(shape)}: {math.prod(shape)} are needed")
    return flat.reshape(shape)


def _wanted(request: _Request, interface: Interface) -> tuple[Wanted, ...]:
    default = request.parameters.get("binary_data_output") is True
    if not request.outputs:
        return interface.all_binary if default else interface.all_json
    for output in request.outputs:
        if output.name not in interface.outputs:
            raise _bad(f"output {output.name!r} is none of this model's: {', '.join(each.name for each in interface.all_json)}")
    return tuple(
        Wanted(output.name, output.parameters.get("binary_data", default) is True, _classes(output, interface))
        for output in request.outputs
    )


def _classes(output: _Wanted, interface: Interface) -> int:
    """How many classes of an output are wanted; 0 if the output itself is."""
    count = output.parameters.get(CLASSIFICATION, 0)
    if type(count) is int and (count == 0 or 0 < count <= interface.scores.get(output.name, 0)):
        return count
    names = ", ".join(f"{name!r} (at most {most})" for name, most in interface.scores.items()) or "none"
    raise _bad(f"output {output.name!r} cannot have {CLASSIFICATION} {count!r}: outputs with classes are {names}")


def _highest(scores: NDArray[Any], count: int, package: Package) -> NDArray[Any]:
    """The highest scores of one row as texts `<value>:<index>:<label>`, shape [1, count]. The label is left out if the model has none."""
    labels, row = task_of(package.task).labels(package), scores[0]
    named = labels if labels is not None and len(labels) == len(row) else None
    best = np.argsort(-row, kind="stable")[:count]
    texts = [f"{row[index]:f}:{index}" + (f":{named[index]}" if named is not None else "") for index in best]
    return np.array([texts], dtype=object)


def _output(wanted: Wanted, array: NDArray[Any]) -> tuple[dict[str, Any], bytes]:
    """An output of the answer as JSON, and as raw data where that is wanted."""
    datatype = DATATYPE_OF_KIND[array.dtype.kind]
    document: dict[str, Any] = {"name": wanted.name, "datatype": datatype, "shape": list(array.shape)}
    if not wanted.binary:
        return {**document, "data": array.reshape(-1).tolist()}, b""
    if datatype == "BYTES":
        texts = [str(text).encode() for text in array.reshape(-1)]
        data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    else:
        data = array.astype(LITTLE_ENDIAN[datatype]).tobytes()
    return {**document, "parameters": {"binary_data_size": len(data)}}, data


def _bad(message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, message)
