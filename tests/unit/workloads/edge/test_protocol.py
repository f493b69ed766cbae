"""The Open Inference Protocol: requests read and refused, answers written."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest

from bramble.contracts.package import Package
from bramble.contracts.tasks.base import Tensor
from bramble_workloads.edge.serve import protocol
from bramble_workloads.edge.serve.http.messages import HttpError
from bramble_workloads.edge.serve.protocol import Wanted
from bramble_workloads.processing.model import Model
from tests.unit.workloads.models import build_package, digits, digits_graph

PACKAGE: Package = build_package(digits_graph(), cases=0)[0]
PICTURE = digits()[0][0]
INTERFACE = protocol.Interface(PACKAGE)
ALL = ("label", "confidence", "logits")


def parse(document: Any, raw: bytes = b"", content_type: str = "application/json", header: str | None = None) -> protocol.Inference:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return protocol.parse(text + raw, content_type, header if header is not None else (str(len(text)) if raw else None), INTERFACE)


def image(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(PICTURE).decode()], **changes}


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": list(range(64)), **changes}


def element(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def test_a_picture_in_json() -> None:
    found = parse({"id": "7", "inputs": [image()]})
    assert (found.id, found.content, found.wanted) == ("7", PICTURE, tuple(Wanted(name, False) for name in ALL))


def test_a_picture_in_the_binary_extension() -> None:
    raw = element(PICTURE)
    given = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    found = parse({"inputs": [given]}, raw, "application/octet-stream")
    assert (found.id, found.content) == (None, PICTURE)


@pytest.mark.parametrize("data", [list(range(64)), np.arange(64).reshape(1, 1, 8, 8).tolist()])
def test_a_tensor_in_json_flat_or_nested(data: Any) -> None:
    content = parse({"inputs": [tensor(data=data)]}).content
    assert isinstance(content, np.ndarray)
    np.testing.assert_array_equal(content, np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8))


@pytest.mark.parametrize("blanks", range(4))
def test_a_raw_tensor_is_aligned_wherever_it_begins(blanks: int) -> None:
    raw = np.arange(64, dtype="<f4").tobytes()
    given = {"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "parameters": {"binary_data_size": 256}}
    content = parse(json.dumps({"inputs": [given]}).encode() + b" " * blanks, raw).content
    assert isinstance(content, np.ndarray)
    assert content.flags.aligned
    np.testing.assert_array_equal(content.reshape(-1), np.arange(64, dtype=np.float32))


def test_a_tensor_in_the_binary_extension() -> None:
    raw = np.arange(64, dtype="<f4").tobytes()
    given = {"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "parameters": {"binary_data_size": 256}}
    content = parse({"inputs": [given]}, raw).content
    assert isinstance(content, np.ndarray)
    assert content.shape == (1, 1, 8, 8)


def test_outputs_may_be_chosen_and_be_raw() -> None:
    outputs = [{"name": "logits", "parameters": {"binary_data": True}}, {"name": "label"}]
    assert parse({"inputs": [image()], "outputs": outputs}).wanted == (Wanted("logits", True), Wanted("label", False))
    assert parse({"inputs": [image()], "parameters": {"binary_data_output": True}}).wanted[0] == Wanted("label", True)


@pytest.mark.parametrize(
    ("name", "document", "raw", "says"),
    [
        ("nothing", b"", b"", "not one of the protocol"),
        ("a list", [], b"", "not one of the protocol"),
        ("no inputs", {}, b"", "inputs: Field required"),
        ("two inputs", {"inputs": [image(), tensor()]}, b"", "2 inputs"),
        ("an unknown input", {"inputs": [image(name="picture")]}, b"", "'picture' is none of this model's"),
        ("a picture as numbers", {"inputs": [image(datatype="UINT8", shape=[64])]}, b"", "a picture is BYTES"),
        ("two pictures", {"inputs": [image(shape=[2])]}, b"", "a picture is BYTES"),
        ("no base64", {"inputs": [image(data=["%%%"])]}, b"", "not base64"),
        ("base64 with a line end", {"inputs": [image(data=["aGVs\\nbG8="])]}, b"", "not base64"),
        ("nested too deep", b"[" * 10_000, b"", "not one of the protocol"),
        ("no data", {"inputs": [image(data=None)]}, b"", "no data"),
        ("a tensor of another shape", {"inputs": [tensor(shape=[1, 64])]}, b"", "takes FP32 \\[1, 1, 8, 8\\]"),
        ("too few numbers", {"inputs": [tensor(data=[1, 2])]}, b"", "2 numbers"),
        ("ragged numbers", {"inputs": [tensor(data=[[1], [2, 3]])]}, b"", "not numbers"),
        ("a number that is too large", {"inputs": [tensor(data=[10**400] * 64)]}, b"", "not numbers"),
        ("texts for numbers", {"inputs": [tensor(data=["a"] * 64)]}, b"", "not numbers"),
        ("numbers as texts", {"inputs": [tensor(data=["1"] * 64)]}, b"", "not numbers"),
        ("null for a number", {"inputs": [tensor(data=[None] + [0.0] * 63)]}, b"", "not numbers"),
        ("true for a number", {"inputs": [tensor(data=[True] * 64)]}, b"", "not numbers"),
        ("another size than follows", {"inputs": [image(parameters={"binary_data_size": 9})]}, b"abc", "3 bytes follow"),
        ("an element without its length", {"inputs": [image(parameters={"binary_data_size": 3})]}, b"abc", "4 bytes, little-endian"),
        ("raw bytes of a wrong tensor", {"inputs": [tensor(parameters={"binary_data_size": 3})]}, b"abc", "256 are needed"),
        (
            "classes of an answer",
            {"inputs": [image()], "outputs": [{"name": "label", "parameters": {"classification": 1}}]},
            b"",
            "'logits'",
        ),
        (
            "more classes than there are",
            {"inputs": [image()], "outputs": [{"name": "logits", "parameters": {"classification": 11}}]},
            b"",
            "at most 10",
        ),
        ("an unknown output", {"inputs": [image()], "outputs": [{"name": "boxes"}]}, b"", "'boxes' is none"),
        ("an id that is too long", {"id": "x" * 300, "inputs": [image()]}, b"", "id: "),
    ],
)
def test_what_is_malformed_is_refused_with_400(name: str, document: Any, raw: bytes, says: str) -> None:
    with pytest.raises(HttpError, match=says) as raised:
        parse(document, raw)
    assert raised.value.status == 400, name


@pytest.mark.parametrize("header", ["-1", "abc", "99999999", "9" * 5000, "²"])
def test_a_header_length_that_cannot_be(header: str) -> None:
    with pytest.raises(HttpError, match="Inference-Header-Content-Length") as raised:
        parse({"inputs": [image()]}, header=header)
    assert raised.value.status == 400


@pytest.mark.parametrize("content_type", ["application/octet-stream", ""])
def test_raw_data_without_the_length_of_the_json_names_the_missing_header(content_type: str) -> None:
    raw = element(PICTURE)
    text = json.dumps({"inputs": [image(data=None, parameters={"binary_data_size": len(raw)})]}).encode()
    with pytest.raises(HttpError, match="header Inference-Header-Content-Length is missing") as raised:
        protocol.parse(text + raw, content_type, None, INTERFACE)
    assert raised.value.status == 400


def test_json_alone_needs_no_length_whatever_its_content_type() -> None:
    """Clients such as aiohttp call every body of bytes `application/octet-stream`."""
    assert parse({"inputs": [image()]}, content_type="application/octet-stream").content == PICTURE


def test_another_media_type_is_415() -> None:
    with pytest.raises(HttpError) as raised:
        parse({"inputs": [image()]}, content_type="image/png")
    assert raised.value.status == 415


def test_an_answer_in_json_and_raw() -> None:
    prediction = Model.load(PACKAGE, digits_graph()).predict(PICTURE)
    plain = protocol.answer(PACKAGE, "sha256:ab", "7", prediction, "ads.digits", tuple(Wanted(name, False) for name in ALL))
    document = json.loads(plain.body)
    assert (plain.content_type, plain.header_length) == ("application/json", None)
    assert (document["id"], document["model_version"], document["parameters"]) == ("7", "1.0.0", {"package": "sha256:ab"})
    np.testing.assert_allclose(document["outputs"][2]["data"], prediction.outputs["logits"][0])
    raw = protocol.answer(PACKAGE, "sha256:ab", "7", prediction, "ads.digits", tuple(Wanted(name, True) for name in ALL))
    assert raw.header_length is not None
    head, data = json.loads(raw.body[: raw.header_length]), raw.body[raw.header_length :]
    assert [each["parameters"]["binary_data_size"] for each in head["outputs"]] == [5, 4, 40]
    assert data[:5] == element(prediction.answer.truth().stratum.encode())
    np.testing.assert_array_equal(np.frombuffer(data[9:], "<f4"), prediction.outputs["logits"][0])


@pytest.mark.parametrize("filler", ["{}", "[]", "1"])
def test_a_body_of_many_values_is_refused_before_they_are_made(filler: str) -> None:
    """Three bytes in JSON become half a kilobyte of memory."""
    with pytest.raises(HttpError, match="are enough for any request of this model") as raised:
        parse(
            f'{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [{",".join([filler] * 40_000)}]}}]}}'.encode()
        )
    assert raised.value.status == 413


def test_a_nested_tensor_in_long_digits_has_not_too_many_values() -> None:
    package: Package = build_package(digits_graph(), cases=0)[0]
    tall = Tensor(name="x", shape=(1, 3, 100, 100), layout="NCHW")
    interface = protocol.Interface(package.model_copy(update={"input": package.input.model_copy(update={"tensor": tall})}))
    data = np.random.default_rng(0).normal(size=tall.shape)
    document = {"inputs": [{"name": "x", "datatype": "FP32", "shape": list(tall.shape), "data": data.tolist()}]}
    content = protocol.parse(json.dumps(document).encode(), "application/json", None, interface).content
    assert isinstance(content, np.ndarray)
    np.testing.assert_array_equal(content, data.astype(np.float32))


def test_the_highest_classes_of_an_output() -> None:
    prediction = Model.load(PACKAGE, digits_graph()).predict(PICTURE)
    (wanted,) = parse({"inputs": [image()], "outputs": [{"name": "logits", "parameters": {"classification": 3}}]}).wanted
    document = json.loads(protocol.answer(PACKAGE, "sha256:ab", "7", prediction, "ads.digits", (wanted,)).body)
    (output,) = document["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 3])
    row = prediction.outputs["logits"][0]
    assert output["data"] == [f"{row[index]:f}:{index}:{index}" for index in np.argsort(-row)[:3]]
    (raw,) = parse({"inputs": [image()], "outputs": [{"name": "logits", "parameters": {"classification": 1, "binary_data": True}}]}).wanted
    answer = protocol.answer(PACKAGE, "sha256:ab", "7", prediction, "ads.digits", (raw,))
    assert answer.header_length is not None
    assert answer.body[answer.header_length :] == element(output["data"][0].encode())


def test_the_limit_holds_the_largest_picture_in_base64() -> None:
    assert INTERFACE.limit > len(base64.b64encode(b"\0" * PACKAGE.input.max_bytes))
