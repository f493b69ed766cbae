"""Makes the golden cases of a package: samples of the validation split that its model answers clearly, with the result of each stage.

They are part of the package, so they must be small. Boards run them before they serve a package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bramble.contracts.manifest import Sample
from bramble.contracts.package import File, Golden, GoldenTolerance
from bramble_workloads.convert.calibration import round_robin
from bramble_workloads.evaluate.samples import hash_order
from bramble_workloads.evaluate.table import Answered
from bramble_workloads.processing.errors import InputError, TooLarge
from bramble_workloads.processing.golden import MAX_BYTES, MAX_CASES, MIN_CASES, MadeCase, make_case
from bramble_workloads.processing.model import Model
from bramble_workloads.processing.package import GetBlob
from bramble_workloads.runtimes.converter import NotConvertible
from bramble_workloads.tasks.catalogue import task_of

PURPOSE = "golden"
NPY = "application/x-npy"
CLEAR = 0.5
"""With at least this margin, the int8 arithmetic of another processor gives the same answer."""
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


def order(answered: Sequence[Answered]) -> tuple[Sample, ...]:
    """Sort samples by how well they serve as cases.

    Clear answers come before unclear ones. Clear ones take turns between the strata of the answers, in hash order within a stratum; unclear
    ones are sorted by margin.
    """
    answers = {each.sample.id: each.answer for each in answered}
    samples = {each.sample.id: each.sample for each in answered}
    clear: dict[str, list[Sample]] = {}
    unclear: list[Sample] = []
    for sample in hash_order(samples.values(), PURPOSE):
        answer = answers[sample.id]
        if answer.margin >= CLEAR:
            clear.setdefault(answer.truth().stratum, []).append(sample)
        else:
            unclear.append(sample)
    unclear.sort(key=lambda sample: -answers[sample.id].margin)
    return (*round_robin([clear[stratum] for stratum in sorted(clear)]), *unclear)


def make_golden(model: Model, candidates: Sequence[Sample], get_blob: GetBlob, tolerance: GoldenTolerance) -> MadeGolden:
    """Make 4 to 16 cases of at most 2 MiB in all from the first candidates that are suitable.

    Args:
        model: the package's model, loaded here.
        candidates: samples, best first (`order`).
        get_blob: reads a sample by its digest.
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
    golden = Golden(tolerance=tolerance, cases=tuple(case.case for case in made))
    return MadeGolden(golden, blobs, task_of(model.description.task).medium.golden_media_type)


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
