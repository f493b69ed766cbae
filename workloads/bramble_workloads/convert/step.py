"""The step `convert`: every variant of a model made, finished and validated. One that cannot be made is an outcome; the others go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bramble.contracts.jobs.convert import ConvertJob, ConvertResult, VariantOutcome, VariantSpec
from bramble.contracts.package import Classify
from bramble_workloads.convert.errors import NotConvertible
from bramble_workloads.convert.finish import finish
from bramble_workloads.convert.fitting import fit
from bramble_workloads.convert.forms import FLOAT32, Form, Wanted, make_forms, wanted
from bramble_workloads.convert.passes import Given, run_split
from bramble_workloads.convert.source import Source, read_source
from bramble_workloads.evaluate.drop import drop_of, missed, require_max_drop
from bramble_workloads.evaluate.scoring import Confusion, metrics_of, scores_of
from bramble_workloads.job import Work, run
from bramble_workloads.processing.postprocess import classify


def main() -> int:
    """Run the step in this pod."""
    return run(ConvertJob, convert)


def convert(work: Work[ConvertJob]) -> ConvertResult:
    """Make and validate every variant.

    Raises:
        SpecError: maxDrop cannot be judged, or the package cannot be run here.
        BadData: a blob is missing or damaged, a split is empty or of other classes, a picture cannot be processed, or the fp32 graph fails.
        TryAgain: the store does not answer.
    """
    require_max_drop(work.job.max_drop)
    source = read_source(work)
    forms = make_forms(work, source)
    val = run_split(work, source, forms, source.val, "val")
    test = run_split(work, source, forms, source.test, "test")
    conversion = _Conversion(work, source, forms, val, test)
    reference = conversion.metrics(FLOAT32, conversion.fitted(FLOAT32))
    outcomes = []
    for spec in work.job.variants:
        outcome = conversion.outcome(spec, reference)
        work.say(_sentence(outcome), metrics=outcome.metrics)
        outcomes.append(outcome)
    return ConvertResult(seconds=work.seconds, variants=tuple(outcomes))


@dataclass(frozen=True)
class _Conversion:
    """Everything that a variant is made and judged from."""

    work: Work[ConvertJob]
    source: Source
    forms: Mapping[Wanted, Form | NotConvertible]
    val: Given
    test: Given

    def outcome(self, spec: VariantSpec, reference: Mapping[str, float]) -> VariantOutcome:
        """Make one variant, and hold it against the fp32 package's metrics."""
        form = self.forms[wanted(spec)]
        try:
            if isinstance(form, NotConvertible):
                raise form
            fitted = self.fitted(wanted(spec))
            package = finish(self.work, self.source, spec, form, fitted, (self.val.samples, self.val.of(wanted(spec))))
        except NotConvertible as reason:
            return VariantOutcome(name=spec.name, package=None, passed=False, reason=str(reason))
        made = VariantOutcome(
            name=spec.name,
            package=package,
            bytes=form.bytes,
            compression=round(self.source.graph.stat().st_size / form.bytes, 3),
            passed=False,
        )
        try:
            found = self.metrics(wanted(spec), fitted)
        except NotConvertible as reason:
            return made.model_copy(update={"reason": str(reason)})
        reasons = missed(reference, found, self.work.job.max_drop)
        return made.model_copy(
            update={"metrics": found, "drop": drop_of(reference, found), "passed": not reasons, "reason": "; ".join(reasons)}
        )

    def fitted(self, form: Wanted) -> Classify:
        """The postprocessing for one graph. Raises NotConvertible: it failed on the validation split."""
        operation = self.source.package.postprocess
        true = np.array([operation.labels.index(sample.label) for sample in self.val.samples], np.int64)
        return fit(operation, self.val.of(form), true)

    def metrics(self, form: Wanted, fitted: Classify) -> dict[str, float]:
        """Scores on the test split. Raises NotConvertible: the graph failed on it."""
        confusion = Confusion(fitted.labels)
        for sample, row in zip(self.test.samples, self.test.of(form), strict=True):
            confusion.add(sample.label, classify(fitted, row).label)
        return metrics_of(scores_of(confusion))


def _sentence(outcome: VariantOutcome) -> str:
    """The outcome for the log."""
    if outcome.package is None:
        return f"{outcome.name}: not made: {outcome.reason}"
    size = f"{outcome.name}: {outcome.bytes} bytes ({outcome.compression:g}x smaller than fp32)"
    scored = f"{size}, accuracy {outcome.metrics['accuracy']:.4f}" if outcome.metrics else size
    return f"{scored}, passed" if outcome.passed else f"{scored}, rejected: {outcome.reason}"
