"""Takes the best of the graphs that can be made for a variant: the one that answers the validation split best.

The test split takes no part in it. Differences that may be chance do not count, so that a small validation split does not decide by one or
two pictures; then the converter's order of preference decides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.jobs.convert import ConvertJob, Trial
from bramble_workloads.convert.source import Source
from bramble_workloads.evaluate.answers import rows
from bramble_workloads.evaluate.samples import hash_order, read_files
from bramble_workloads.job import Work
from bramble_workloads.processing.errors import DescriptionError, ModelFault
from bramble_workloads.processing.model import Model
from bramble_workloads.runtimes.converter import Candidates, Form, NotConvertible
from bramble_workloads.tasks.base import Outputs
from bramble_workloads.tasks.catalogue import task_of

PURPOSE = "choice of a graph"
MOST_SAMPLES = 2000
"""Samples of val that a graph answers at most. With 2,000, a difference of half a point is more than chance even if the graphs differ in
5 % of their answers."""
CHANCE = 1.645
"""Two candidates that are equally good differ by more standard errors in one direction once in twenty times."""

Right = NDArray[np.bool_]
"""Whether each sample of val was answered right [samples]."""
Load = Callable[[Form], Model]
"""Loads a graph. Raises DescriptionError if the runtime refuses it."""


class Choice(NamedTuple):
    """The graph that was taken, and what was tried for it. Nothing was tried if there was nothing to choose from."""

    form: Form
    model: Model
    taken: str = ""
    """The name of the candidate."""
    tried: tuple[Trial, ...] = ()
    untried: tuple[str, ...] = ()
    """The names of the candidates for which there was no time."""


class _Made(NamedTuple):
    form: Form
    right: Right


def choose(
    work: Work[ConvertJob],
    source: Source,
    what: str,
    candidates: Candidates,
    load: Load,
    until: float,
    clock: Callable[[], float] = time.monotonic,
) -> Choice:
    """Make and load candidates and take one of them. The files of the others are removed.

    Args:
        work: the running job. Its log gets a line for every candidate.
        source: the package and the dataset.
        what: what is made, for messages.
        candidates: the graphs that can be made. If there is only one, it is taken unseen.
        load: loads one of them.
        until: when, by `clock`, trying ends. A candidate that would end later, judged by the slowest one so far, is not begun. One is made
            however long it takes.
        clock: seconds from any beginning.

    Raises:
        NotConvertible: no candidate could be made and run. The reason is that of the first one.
        BadData: a sample of val cannot be processed or read.
    """
    if len(candidates) == 1:
        form = next(iter(candidates.values()))()
        return Choice(form, _loaded(load, form))
    made: dict[str, _Made] = {}
    reasons: dict[str, NotConvertible] = {}
    untried: list[str] = []
    slowest = 0.0
    for name, make in candidates.items():
        began = clock()
        if untried or (made and began + slowest > until):
            untried.append(name)
            continue
        try:
            form = make()
            made[name] = _Made(form, _answered_right(work, source, _loaded(load, form)))
        except NotConvertible as reason:
            reasons[name] = reason
        slowest = max(slowest, clock() - began)
        work.say(f"{what}: {_sentence(name, made, reasons)} ({slowest:.0f} s at most for one)")
    if not made:
        raise next(iter(reasons.values()))
    taken = best({name: each.right for name, each in made.items()})
    late = f"; for lack of time not tried: {', '.join(untried)}" if untried else ""
    work.say(f"{what}: {taken} is taken; of {len(made)} it is the first that is not clearly worse on val than the best{late}")
    for name, each in made.items():
        if name != taken:
            each.form.graph.unlink(missing_ok=True)
    tried = (
        *(Trial(name=name, right=int(each.right.sum()), of=len(each.right)) for name, each in made.items()),
        *(Trial(name=name, reason=str(reason)) for name, reason in reasons.items()),
    )
    return Choice(made[taken].form, _loaded(load, made[taken].form), taken, tried, tuple(untried))


def best(right: Mapping[str, Right]) -> str:
    """The first candidate that answers as well as the best one, apart from chance.

    Two candidates answer the same samples. If they were equally good, the difference of their right answers would have a standard error of
    the square root of the number of samples that only one of them answers right (Q. McNemar, "Note on the sampling error of the difference
    between correlated proportions", 1947). A difference of up to `CHANCE` standard errors counts as chance.

    Args:
        right: the answers of each candidate for the same samples, in order of preference.
    """
    most = max(right.values(), key=lambda each: int(each.sum()))
    for name, own in right.items():
        lost, won = int((most & ~own).sum()), int((own & ~most).sum())
        if lost - won <= CHANCE * math.sqrt(lost + won):
            return name
    raise ValueError("there is no candidate")


def _loaded(load: Load, form: Form) -> Model:
    try:
        return load(form)
    except DescriptionError as error:
        raise NotConvertible(f"the graph cannot be loaded: {error}") from error


def _answered_right(work: Work[ConvertJob], source: Source, model: Model) -> Right:
    """Answer val as the variant would: with the values of its task that are fitted on val, such as a threshold."""
    samples = hash_order(source.val, PURPOSE)[:MOST_SAMPLES]
    found = sorted(rows([model], read_files(work.store.get_blob, source.manifest, samples)), key=lambda row: row.sample.id)
    outputs: list[Outputs] = []
    for row in found:
        (given,) = row.outputs
        if isinstance(given, ModelFault):
            raise NotConvertible(f"the graph fails on the val split: {given}")
        outputs.append(given)
    truths = [row.sample.annotation for row in found]
    task = task_of(source.package.task)
    decode = task.decoder(task.fit(source.package, outputs, truths))
    return np.array([decode(each).agrees(truth) for each, truth in zip(outputs, truths, strict=True)], np.bool_)


def _sentence(name: str, made: Mapping[str, _Made], reasons: Mapping[str, NotConvertible]) -> str:
    if name in reasons:
        return f"{name} cannot be used: {reasons[name]}"
    right = made[name].right
    return f"{name} answers {int(right.sum())} of {len(right)} samples of val right"
