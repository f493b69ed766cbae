"""The step `convert`: makes, packages and validates every variant of a model.

A variant that cannot be made does not fail the step: its outcome states the reason, and the other variants are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble.contracts.jobs.convert import ConvertJob, ConvertResult, VariantOutcome, VariantSpec
from bramble.contracts.package import Package
from bramble.contracts.tasks.catalogue import contract_of, headline_of
from bramble_workloads.convert.graphs import EXPORTED, GraphKey, VariantGraph, key_of, make_graphs
from bramble_workloads.convert.inference import SplitOutputs, run_split
from bramble_workloads.convert.package import make_package
from bramble_workloads.convert.source import Source, read_source
from bramble_workloads.evaluate.drop import drop_of, missed, require_max_drop
from bramble_workloads.job import Work, run
from bramble_workloads.runtimes.converter import NotConvertible
from bramble_workloads.tasks.catalogue import task_of


def main() -> int:
    """Run the step in this pod."""
    return run(ConvertJob, convert)


def convert(work: Work[ConvertJob]) -> ConvertResult:
    """Make and validate every variant.

    Raises:
        SpecError: maxDrop names an unknown metric or is not a number, or the package cannot be run here.
        BadData: a blob is missing or damaged, a split is empty or has other classes than the model, a picture cannot be processed, or the
            exported graph fails.
        TryAgain: the store does not answer.
    """
    source = read_source(work)
    require_max_drop(work.job.max_drop, contract_of(source.package.task))
    graphs = make_graphs(work, source)
    val = run_split(work, source, graphs, source.val, "val")
    test = run_split(work, source, graphs, source.test, "test")
    conversion = _Conversion(work, source, graphs, val, test)
    reference = conversion.metrics(key_of(EXPORTED), conversion.fitted(key_of(EXPORTED)))
    outcomes = []
    for spec in work.job.variants:
        outcome = conversion.outcome(spec, reference)
        work.say(_sentence(outcome), metrics=outcome.metrics)
        outcomes.append(outcome)
    return ConvertResult(seconds=work.seconds, variants=tuple(outcomes))


@dataclass(frozen=True)
class _Conversion:
    """The inputs from which every variant is made and with which it is compared."""

    work: Work[ConvertJob]
    source: Source
    graphs: Mapping[GraphKey, VariantGraph | NotConvertible]
    val: SplitOutputs
    test: SplitOutputs

    def outcome(self, spec: VariantSpec, reference: Mapping[str, float]) -> VariantOutcome:
        """Make one variant, and compare it with the metrics of the exported graph."""
        key = key_of(spec)
        graph = self.graphs[key]
        try:
            if isinstance(graph, NotConvertible):
                raise graph
            fitted = self.fitted(key)
            package = make_package(self.work, spec, graph, fitted, (self.val.samples, self.val.of(key)))
        except NotConvertible as reason:
            return VariantOutcome(name=spec.name, package=None, passed=False, reason=str(reason), **_choice(graph))
        made = VariantOutcome(
            name=spec.name,
            package=package,
            bytes=graph.bytes,
            compression=round(self.source.graph.stat().st_size / graph.bytes, 3),
            passed=False,
            **_choice(graph),
        )
        try:
            found = self.metrics(key, fitted)
        except NotConvertible as reason:
            return made.model_copy(update={"reason": str(reason)})
        task = contract_of(fitted.task)
        reasons = missed(reference, found, self.work.job.max_drop, task)
        return made.model_copy(
            update={"metrics": found, "drop": drop_of(reference, found, task), "passed": not reasons, "reason": "; ".join(reasons)}
        )

    def fitted(self, key: GraphKey) -> Package:
        """The package of training, fitted for one graph.

        Raises:
            NotConvertible: the graph failed on the validation split.
        """
        truths = [sample.annotation for sample in self.val.samples]
        return task_of(self.source.package.task).fit(self.source.package, self.val.of(key), truths)

    def metrics(self, key: GraphKey, fitted: Package) -> dict[str, float]:
        """The metrics on the test split.

        Raises:
            NotConvertible: the graph failed on the test split.
        """
        task = task_of(fitted.task)
        decode, scorer = task.decoder(fitted), task.scorer(fitted)
        for sample, outputs in zip(self.test.samples, self.test.of(key), strict=True):
            scorer.add(sample.annotation, decode(outputs))
        return scorer.scores().overall.metrics


def _choice(graph: VariantGraph | NotConvertible) -> dict[str, Any]:
    """The fields of an outcome that say which way to make the graph was taken."""
    if isinstance(graph, NotConvertible):
        return {}
    return {"taken": graph.choice.taken, "tried": graph.choice.tried, "untried": graph.choice.untried}


def _sentence(outcome: VariantOutcome) -> str:
    """The outcome, as one line of the log."""
    if outcome.package is None:
        return f"{outcome.name}: not made: {outcome.reason}"
    size = f"{outcome.name}: {outcome.bytes} bytes ({outcome.compression:g}x smaller than fp32)"
    headline = headline_of(outcome.metrics)
    scored = f"{size}, {headline} {outcome.metrics[headline]:.4f}" if headline is not None else size
    return f"{scored}, passed" if outcome.passed else f"{scored}, rejected: {outcome.reason}"
