"""Which pictures become golden cases, and how large ones are made to fit."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bramble.contracts.canonical import digest_of
from bramble.contracts.images import Crop, Decode, ImageInput, Normalize, Resize
from bramble.contracts.manifest import Sample
from bramble.contracts.package import MAX_CASES, GoldenTolerance, Output
from bramble.contracts.tasks.base import Operation, Tensor
from bramble.contracts.tasks.classification import Classify, Label
from bramble_workloads.convert.golden import CASE_BYTES, CLEAR, make_golden, order
from bramble_workloads.evaluate.table import Answered
from bramble_workloads.processing.golden import MAX_BYTES, check
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import NotConvertible
from bramble_workloads.tasks.classification.answer import Classified
from tests.unit.workloads.models import description


def sample(name: str) -> Sample:
    digest = digest_of(name.encode())
    return Sample(id=digest, bytes=1, extension=".png", split="val", annotation=Label(label="a"), group=digest, origin="tape")


def answered(name: str, label: str, margin: float) -> Answered:
    return Answered(sample(name), Classified(label, 0.9, np.zeros(2), None, margin, confident=True))


def test_clear_answers_come_first_and_labels_in_turn() -> None:
    clear = [answered(f"{label}{number}", label, CLEAR) for label in "abc" for number in range(5)]
    unclear = [answered("u1", "a", 0.1), answered("u2", "b", 0.4), answered("u3", "c", 0.2)]
    found = order([*unclear, *clear], lambda _: True)
    labels = {each.sample.id: each.answer.truth().stratum for each in clear}
    assert [labels[sample.id] for sample in found[:15]] == list("abc") * 5
    assert [each.id for each in found[15:]] == [sample("u2").id, sample("u3").id, sample("u1").id]
    assert order(list(reversed([*unclear, *clear])), lambda _: True) == found


def test_an_answer_that_is_not_steady_comes_after_the_steady_ones_however_clear_it_seems() -> None:
    """With a low temperature a small difference of the outputs is a large margin."""
    seeming = answered("seeming", "a", 0.99)
    clear = [answered(f"a{number}", "a", CLEAR) for number in range(3)]
    found = order([seeming, *clear, answered("unclear", "a", 0.2)], lambda each: each != seeming.sample)
    assert {each.id for each in found[:3]} == {each.sample.id for each in clear}
    assert [each.id for each in found[3:]] == [seeming.sample.id, sample("unclear").id]


def test_every_label_has_a_case_even_if_none_of_its_answers_is_steady() -> None:
    """Otherwise nothing would notice that two labels are swapped."""
    steady = {sample(f"a{number}").id for number in range(20)}
    clear = [answered(f"a{number}", "a", 0.9) for number in range(20)]
    rare = [answered("b0", "b", 0.99), answered("c0", "c", 0.1), answered("c1", "c", 0.2)]
    found = [each.id for each in order([*clear, *rare], lambda each: each.id in steady)]
    assert found[1:3] == [sample("b0").id, sample("c1").id]
    assert {found[0], *found[3:22]} == steady
    assert found[22:] == [sample("c0").id]


def test_answers_that_may_differ_within_the_tolerance_are_not_compared() -> None:
    """The temperature is low, so that every margin is near 1, and the outputs may differ by more than the logits do."""
    pictures = {sample(str(number)).id: jpeg(noise(64, number)) for number in range(5)}
    loaded = model(32, Resize(edge="both", size=32), temperature=0.05)
    names = [sample(str(number)) for number in range(5)]
    wide = make_golden(loaded, names, pictures.__getitem__, GoldenTolerance(raw=100, step=0.1)).golden
    margins = [loaded.predict(pictures[each.id]).answer.margin for each in names]
    assert wide.tolerance.margin > 0.5
    assert wide.tolerance.margin >= max(margins) - 0.1
    narrow = make_golden(loaded, names, pictures.__getitem__, GoldenTolerance(raw=1e-3)).golden
    assert narrow.tolerance.margin == 0


def model(size: int, *geometry: Operation, max_bytes: int = 8 * 2**20, temperature: float = 1.0) -> Model:
    """The mean of each half of a colour picture of that size: two logits."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["means"]),
            helper.make_node("Flatten", ["means"], ["row"]),
            helper.make_node("MatMul", ["row", "w"], ["logits"]),
        ],
        "means",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.array([[9, 0], [0, 1], [0, 9]], np.float32), "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 10
    described = description(
        input=ImageInput(max_bytes=max_bytes, tensor=Tensor(name="x", shape=(1, 3, size, size), layout="NCHW")),
        preprocess=(Decode(color="RGB"), *geometry, Normalize(mean=(0.5,) * 3, std=(0.2,) * 3)),
        outputs=(Output(name="logits", shape=(1, 2)),),
        postprocess=Classify(labels=("red", "blue"), temperature=temperature),
    )
    return Model.load(described, bytes(made.SerializeToString()))


def noise(size: int, seed: int) -> NDArray[np.uint8]:
    """A picture that does not compress."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.uint8)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=95)
    return target.getvalue()


@pytest.mark.parametrize("edge", [224, 400])
def test_photographs_become_smaller_pngs_that_fit(edge: int) -> None:
    """Five noisy photographs whose PNGs would have 0.8 MB each: as many as fit become cases, none above its share.

    With the larger edge the tensor is what does not fit: a smaller, and so smoother, picture makes one that compresses.
    """
    pictures = {sample(str(number)).id: jpeg(noise(512, number)) for number in range(5)}
    loaded = model(edge, Resize(edge="shorter", size=edge), Crop(size=(edge, edge)))
    made = make_golden(loaded, [sample(str(number)) for number in range(5)], pictures.__getitem__, GoldenTolerance())
    assert 4 <= len(made.golden.cases) <= MAX_CASES
    assert sum(map(len, made.blobs.values())) <= MAX_BYTES
    for case in made.golden.cases:
        assert made.blobs[case.input].startswith(b"\x89PNG")
        assert sum(len(made.blobs[digest]) for digest in (case.input, case.tensor, case.raw)) <= CASE_BYTES
    assert check(loaded, made.golden, made.blobs.__getitem__).passed


def test_a_png_that_fits_is_taken_as_it_is() -> None:
    target = io.BytesIO()
    Image.fromarray(noise(32, 1)).save(target, "PNG", compress_level=1)
    content = target.getvalue()
    names = [sample(str(number)) for number in range(5)]
    made = make_golden(model(32, Resize(edge="both", size=32)), names, lambda _: content, GoldenTolerance())
    assert {case.input for case in made.golden.cases} == {digest_of(content)}


def test_a_png_larger_than_the_package_takes_is_made_smaller() -> None:
    """The JPEG is small enough for `input.maxBytes`, its PNG is not."""
    content = jpeg(noise(200, 3))
    loaded = model(32, Resize(edge="both", size=32), max_bytes=len(content) + 100)
    made = make_golden(loaded, [sample(str(number)) for number in range(4)], lambda _: content, GoldenTolerance())
    assert all(len(made.blobs[case.input]) <= len(content) + 100 for case in made.golden.cases)


def test_pictures_that_cannot_be_made_to_fit_are_passed_over() -> None:
    """Without a resize a picture smaller than the crop is refused, and a tensor of 600x600 noise does not fit."""
    pictures = {sample("large").id: jpeg(noise(600, 1))}
    with pytest.raises(NotConvertible, match="only 0 of 1 pictures of the val split can be golden cases and 4 are needed"):
        make_golden(model(600, Crop(size=(600, 600))), [sample("large")], pictures.__getitem__, GoldenTolerance())
