"""Makes the golden cases of a package: samples of the validation split that its model answers clearly, with the result of each stage.

They are part of the package, so they must be small. Boards run them before they serve a package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from bramble.contracts.manifest import Sample
from bramble.contracts.package import MAX_CASES, MIN_CASES, File, Golden, GoldenTolerance
from bramble_workloads.convert.calibration import round_robin
from bramble_workloads.convert.tolerance import steady
from bramble_workloads.evaluate.samples import hash_order
from bramble_workloads.evaluate.table import Answered
from bramble_workloads.processing.errors import InputError, TooLarge
from bramble_workloads.processing.golden import (
    MAX_BYTES,
    MadeCase,
    decode_array,
    make_case,
    row_length,
    unflatten,
)
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.package import GetBlob
from bramble_workloads.runtimes.converter import NotConvertible
from bramble_workloads.tasks.catalogue import task_of

PURPOSE = "golden"
NPY = "application/x-npy"
CLEAR = 0.5
"""The least margin of a clear answer."""
MARGIN_STEPS = 10_000
"""Margins are rounded up to so many steps, because another processor computes their last digits otherwise."""
CASE_BYTES = MAX_BYTES // MIN_CASES
"""The most bytes of one case with its blobs, so that the smallest allowed number of cases always fits."""


class MadeGolden(NamedTuple):
    """Golden cases, and their blobs by digest."""

    golden: Golden
    blobs: dict[str, bytes]
    media_type: str
    """The media type of the inputs."""

    def files(self) -> dict[str, File]:
        """The blobs of the cases as entries of the package's `files`, so that a device knows every size before it downloads."""
        return {
            f"golden/{number}/{stage}": File(sha256=digest, bytes=len(self.blobs[digest]), media_type=media_type)
            for number, case in enumerate(self.golden.cases)
            for stage, digest, media_type in (("input", case.input, self.media_type), ("tensor", case.tensor, NPY), ("raw", case.raw, NPY))
        }


def order(answered: Sequence[Answered], is_steady: Callable[[Sample], bool]) -> tuple[Sample, ...]:
    """Sort samples by how well they serve as cases.

    The best sample of each stratum of the answers comes first, so that labels in another order are noticed: a clear answer that is
    steady, for then another answer of the device is an error, or else the one with the largest margin. The other steady ones follow,
    with the strata in turn and in hash order within a stratum, and then all others by margin.

    Args:
        answered: samples with the model's answers.
        is_steady: whether the answer to a sample is the same on every processor.
    """
    margins = {each.sample.id: each.answer.margin for each in answered}
    strata: dict[str, list[Sample]] = {}
    answers = {each.sample.id: each for each in answered}
    for sample in hash_order((each.sample for each in answered), PURPOSE):
        strata.setdefault(answers[sample.id].answer.truth().stratum, []).append(sample)
    ordered = [strata[stratum] for stratum in sorted(strata)]
    steady_ones = [list(islice(filter(is_steady, _clear(samples, margins)), MAX_CASES)) for samples in ordered]
    clearest = [max(samples, key=lambda sample: margins[sample.id]) for samples in ordered]
    steady_firsts = [samples[0] for samples in steady_ones if samples]
    other_firsts = [sample for sample, samples in zip(clearest, steady_ones, strict=True) if not samples]
    others = sorted((sample for samples in ordered for sample in samples), key=lambda sample: -margins[sample.id])
    by_id = {sample.id: sample for sample in (*steady_firsts, *other_firsts, *round_robin(steady_ones), *others)}
    return tuple(by_id.values())


def _clear(samples: Iterable[Sample], margins: Mapping[str, float]) -> Iterator[Sample]:
    return (sample for sample in samples if margins[sample.id] >= CLEAR)


def make_golden(model: Model, candidates: Sequence[Sample], get_blob: GetBlob, tolerance: GoldenTolerance) -> MadeGolden:
    """Make 4 to 16 cases of at most 2 MiB in all from the first candidates that are suitable.

    Args:
        model: the package's model, loaded here.
        candidates: samples, best first (`order`).
        get_blob: reads a sample by its digest.
        tolerance: the package's tolerance. Its `margin` is replaced by the greatest margin of a case whose answer is not steady, so that
            no answer is compared that could be another one within the tolerance of the outputs.

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
    golden = Golden(
        tolerance=tolerance.model_copy(update={"margin": _unsteady_margin(model, made, tolerance)}),
        cases=tuple(case.case for case in made),
    )
    return MadeGolden(golden, blobs, task_of(model.description.task).medium.golden_media_type)


def _unsteady_margin(model: Model, made: Sequence[MadeCase], tolerance: GoldenTolerance) -> float:
    """The greatest margin of an answer that is not steady, rounded up; 0 if every answer is steady."""
    margins = [0.0]
    for case in made:
        row = decode_array(case.blobs[case.case.raw], (row_length(model.description),))
        if not steady(model, row, tolerance.raw * tolerance.step):
            margins.append(model.decode(unflatten(model.description, row)).margin)
    return math.ceil(max(margins) * MARGIN_STEPS) / MARGIN_STEPS


def _fitting(model: Model, content: bytes) -> MadeCase | None:
    """Make a case from the best form of an input that is small enough; None if no form is."""
    for form in task_of(model.description.task).medium.golden_inputs(model.description, content, CASE_BYTES):
        try:
            case = make_case(model, form)
        except TooLarge:
            continue
        except InputError:
            return None  # it is too small for a crop, for example; smaller sizes fail as well
        if sum(map(len, case.blobs.values())) <= CASE_BYTES:
            return case
    return None
