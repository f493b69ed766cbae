"""Makes the golden cases of a package: pictures of the validation split that its model answers clearly, with what each stage gives.

They are part of the package, so they must be small. Boards run them before they serve a package.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from bramble.contracts.manifest import Sample
from bramble.contracts.package import Decode, File, Golden, GoldenTolerance, ModelDescription
from bramble_workloads.convert.calibration import round_robin
from bramble_workloads.evaluate.samples import hash_order
from bramble_workloads.processing.errors import InputError, TooLarge
from bramble_workloads.processing.golden import MAX_BYTES, MAX_CASES, MIN_CASES, MadeCase, make_case
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.package import GetBlob
from bramble_workloads.processing.picture import decode, media_type
from bramble_workloads.processing.postprocess import Classified
from bramble_workloads.runtimes.converter import NotConvertible

PURPOSE = "golden"
PNG, NPY = "image/png", "application/x-npy"
CLEAR = 0.5
"""The margin (difference of the two greatest probabilities) from which int8 arithmetic of another processor gives the same answer."""
CASE_BYTES = MAX_BYTES // MIN_CASES
"""The most bytes of one case with its blobs, so that the smallest allowed number of cases always fits."""


class Answered(NamedTuple):
    """A sample and the variant's answer to it."""

    sample: Sample
    answer: Classified


class MadeGolden(NamedTuple):
    """Golden cases, and their blobs by digest."""

    golden: Golden
    blobs: dict[str, bytes]

    def files(self) -> dict[str, File]:
        """The blobs of the cases as entries of the package's `files`, so that a device knows every size before it downloads."""
        return {
            f"golden/{number}/{stage}": File(sha256=digest, bytes=len(self.blobs[digest]), media_type=PNG if stage == "input" else NPY)
            for number, case in enumerate(self.golden.cases)
            for stage, digest in (("input", case.input), ("tensor", case.tensor), ("raw", case.raw))
        }


def order(answered: Sequence[Answered]) -> tuple[Sample, ...]:
    """Sort samples by how well they serve as cases.

    Clear answers come before unclear ones. Clear ones take turns between the answered labels, in hash order within a label; unclear ones
    are sorted by margin.
    """
    answers = {each.sample.id: each.answer for each in answered}
    samples = {each.sample.id: each.sample for each in answered}
    clear: dict[str, list[Sample]] = {}
    unclear: list[Sample] = []
    for sample in hash_order(samples.values(), PURPOSE):
        if answers[sample.id].margin >= CLEAR:
            clear.setdefault(answers[sample.id].label, []).append(sample)
        else:
            unclear.append(sample)
    unclear.sort(key=lambda sample: -answers[sample.id].margin)
    return (*round_robin([clear[label] for label in sorted(clear)]), *unclear)


def make_golden(model: Model, candidates: Sequence[Sample], get_blob: GetBlob, tolerance: GoldenTolerance) -> MadeGolden:
    """Make 4 to 16 cases of at most 2 MiB in all from the first candidates that are suitable.

    Args:
        model: the package's model, loaded here.
        candidates: samples, best first (`order`).
        get_blob: reads a picture by its digest.
        tolerance: the package's tolerance.

    Raises:
        NotConvertible: fewer than four candidates are suitable.
    """
    made: list[MadeCase] = []
    blobs: dict[str, bytes] = {}
    for sample in candidates:
        case = _fitting(model, get_blob(sample.id))
        if case is None:
            continue
        together = blobs | case.blobs
        if sum(map(len, together.values())) > MAX_BYTES:
            break
        made.append(case)
        blobs = together
        if len(made) == MAX_CASES:
            break
    if len(made) < MIN_CASES:
        raise NotConvertible(
            f"only {len(made)} of {len(candidates)} pictures of the val split can be golden cases and {MIN_CASES} are needed: "
            f"give val more samples, or a smaller input tensor (a case may have {CASE_BYTES} bytes with its tensor)"
        )
    return MadeGolden(Golden(tolerance=tolerance, cases=tuple(case.case for case in made)), blobs)


def _fitting(model: Model, content: bytes) -> MadeCase | None:
    """Make a case of the largest size of a picture that fits. None when no size does."""
    for png in _sizes(model.description, content):
        if len(png) > CASE_BYTES:
            continue
        try:
            case = make_case(model, png)
        except TooLarge:
            continue
        except InputError:
            return None  # it is too small for a crop, for example; smaller sizes fail as well
        if sum(map(len, case.blobs.values())) <= CASE_BYTES:
            return case
    return None


def _sizes(description: ModelDescription, content: bytes) -> Iterator[bytes]:
    """A picture as PNG: unchanged when it is a PNG, then at full size, half, a quarter, and so on down to one pixel."""
    if media_type(content) == PNG:
        yield content
    operation = description.preprocess[0]
    picture = decode(content, description.input, operation if isinstance(operation, Decode) else Decode())
    while True:
        if picture.width * picture.height <= CASE_BYTES:  # a photograph needs at least one byte for each pixel
            yield _png(picture)
        if min(picture.size) == 1:
            return
        picture = picture.reduce(2)


def _png(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()
