"""Golden cases name the stage that differs."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from bramble.contracts.canonical import digest_of
from bramble.contracts.images import Decode, ImageInput, Normalize
from bramble.contracts.package import Golden, GoldenCase, GoldenTolerance, Output, Package
from bramble.contracts.tasks.base import Tensor
from bramble.contracts.tasks.classification import Classify
from bramble_workloads.errors import BadData
from bramble_workloads.processing.errors import DescriptionError
from bramble_workloads.processing.golden import check, decode_array, encode_array
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.problems import Problems
from tests.unit.workloads.models import LABELS, build_package, description, digits, digits_graph, rotated_graph


def loaded(package: Package, graph: bytes) -> Model:
    return Model.load(package, graph)


def golden_of(package: Package) -> Golden:
    assert package.golden is not None
    return package.golden


def test_a_package_passes_its_own_cases() -> None:
    package, blobs = build_package(digits_graph())
    assert check(loaded(package, digits_graph()), golden_of(package), blobs.__getitem__).passed


@pytest.mark.parametrize(
    ("name", "graph", "changes", "stage"),
    [
        ("another normalisation", digits_graph(), {"preprocess": (Decode(color="L"), Normalize(mean=(0.31,), std=(0.4,)))}, "tensor"),
        ("another graph", rotated_graph(), {}, "raw"),
        ("another temperature", digits_graph(), {"postprocess": Classify(labels=LABELS, temperature=1.5)}, "decoded"),
        ("labels in another order", digits_graph(), {"postprocess": Classify(labels=LABELS[::-1])}, "decoded"),
    ],
)
def test_the_culprit_is_named(name: str, graph: bytes, changes: dict[str, object], stage: str) -> None:
    package, blobs = build_package(digits_graph())
    other = Package.model_validate({**package.model_dump(), **changes})
    outcome = check(Model.load(other, graph), golden_of(package), blobs.__getitem__)
    assert (outcome.passed, outcome.case, outcome.stage) == (False, 0, stage), name
    assert f"golden case 0 fails at stage {stage}" in outcome.message


def test_raw_tolerance_counts_quantisation_steps() -> None:
    package, blobs = build_package(digits_graph())
    near = digits_graph(sharpness=1.02)
    model = Model.load(package, near)
    assert not check(model, golden_of(package), blobs.__getitem__).passed
    steps = golden_of(package).model_copy(update={"tolerance": GoldenTolerance(raw=2, step=0.5)})
    assert check(model, steps, blobs.__getitem__).passed


def test_the_top_label_must_agree_where_its_margin_is_clear() -> None:
    """With a tolerance that lets every raw output pass, the answer itself is still compared."""
    package, blobs = build_package(digits_graph())
    lenient = golden_of(package).model_copy(update={"tolerance": GoldenTolerance(raw=1e9, margin=0.01)})
    outcome = check(Model.load(package, rotated_graph()), lenient, blobs.__getitem__)
    assert outcome.stage == "answer"
    unclear = golden_of(package).model_copy(update={"tolerance": GoldenTolerance(raw=1e9, margin=1.0)})
    assert check(Model.load(package, rotated_graph()), unclear, blobs.__getitem__).passed


def test_an_array_survives_and_is_the_same_bytes_each_time() -> None:
    array = np.random.default_rng(1).normal(size=(1, 3, 5)).astype(np.float32)
    encoded = encode_array(array)
    assert encode_array(array) == encoded
    np.testing.assert_array_equal(decode_array(encoded, (1, 3, 5)), array)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("not gzip", b"hello"),
        ("cut off", encode_array(np.zeros((2, 2), np.float32))[:-12]),
        ("another shape", encode_array(np.zeros((2, 3), np.float32))),
        ("far larger than it may be", encode_array(np.zeros((1000, 1000), np.float32))),
        ("empty", b""),
    ],
)
def test_a_broken_array_is_bad_data(name: str, content: bytes) -> None:
    with pytest.raises(BadData, match="golden array"):
        print(name, decode_array(content, (2, 2)))


def test_an_array_with_pickled_objects_is_refused() -> None:
    target = io.BytesIO()
    np.save(target, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadData, match=r"cannot be read"):
        decode_array(gzip.compress(target.getvalue()), (1,))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"outputs": (Output(name="scores", shape=(1, 10)),)}, "the graph's outputs are logits; the package states scores"),
        ({"outputs": (Output(name="logits", shape=(1, 10)), Output(name="more", shape=(1, 2)))}, "outputs are logits"),
        ({"input": {"tensor": Tensor(name="y", shape=(1, 1, 8, 8), layout="NCHW")}}, "the graph's inputs are x"),
        ({"input": {"tensor": Tensor(name="x", shape=(1, 1, 9, 8), layout="NCHW")}}, "the package states float32 \\[1, 1, 9, 8\\]"),
    ],
)
def test_a_graph_that_is_not_as_described(changes: dict[str, object], says: str) -> None:
    with pytest.raises(DescriptionError, match=says):
        Model.load(description(**changes), digits_graph())


def test_everything_that_is_wrong_with_a_description_is_told_at_once() -> None:
    described = description(
        input=ImageInput(tensor=Tensor(name="x", dtype="uint8", shape=(1, 3, 9, 8), layout="NCHW")),
        preprocess=(Decode(color="L"), Normalize(mean=(0.3, 0.3), std=(0.4, 0.4))),
        outputs=(Output(name="logits", shape=(1, 9)),),
        postprocess=Classify(labels=LABELS, positive="ten"),
    )
    with pytest.raises(DescriptionError) as raised:
        Model.load(described, digits_graph())
    told = str(raised.value).split("; ")
    assert [part.split(" ", 3)[:3] for part in told] == [
        ["the", "graph's", "input"],
        ["the", "package", "states"],
        ["the", "graph's", "output"],
        ["the", "package", "states"],
        ["input.tensor", "is", "uint8:"],
        ["input.tensor", "has", "3"],
        ["normalize", "has", "2"],
        ["output", "'logits'", "has"],
        ["postprocess.positive", "is", "'ten',"],
    ]


def test_of_very_many_problems_the_first_are_told() -> None:
    problems = Problems()
    for number in range(20):
        problems.add(f"o{number}")
    with pytest.raises(DescriptionError, match=r"^o0; o1; o2; o3; o4; o5; o6; o7; and 12 more problems$"):
        problems.require_none()


def test_bytes_that_are_no_graph() -> None:
    with pytest.raises(DescriptionError, match="the graph is no ONNX file"):
        Model.load(description(), b"not a graph at all")
    with pytest.raises(DescriptionError, match="refuses the graph"):
        Model.load(description(), b"")


def test_a_package_for_a_newer_runtime() -> None:
    package, _ = build_package(digits_graph(), cases=0)
    newer = package.model_copy(update={"variant": package.variant.model_copy(update={"min_runtime": "99.1"})})
    with pytest.raises(DescriptionError, match=r"needs ONNX Runtime 99\.1"):
        Model.load(newer, digits_graph())


def test_the_digits_model_is_a_real_one() -> None:
    """The tests' graph classifies real digits: other tests rely on it."""
    pictures, labels = digits()
    model = Model.load(description(), digits_graph())
    right = sum(model.predict(picture).answer.truth().stratum == label for picture, label in zip(pictures[:300], labels, strict=False))
    assert right / 300 > 0.85


def test_a_missing_blob_is_the_readers_error() -> None:
    package, blobs = build_package(digits_graph())
    case = GoldenCase(input=digest_of(b"?"), tensor=digest_of(b"?"), raw=digest_of(b"?"), decoded={"label": "1", "confidence": 1})
    with pytest.raises(KeyError):
        check(Model.load(package, digits_graph()), Golden(tolerance=GoldenTolerance(), cases=(case,) * 4), blobs.__getitem__)
