"""Runs every graph on a split. Each sample is read and preprocessed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.manifest import Sample
from bramble_workloads.convert.graphs import EXPORTED, GraphKey, VariantGraph, key_of
from bramble_workloads.convert.source import Source
from bramble_workloads.evaluate.answers import rows
from bramble_workloads.evaluate.samples import read_files
from bramble_workloads.evaluate.step import with_progress
from bramble_workloads.job import Work
from bramble_workloads.processing.errors import ModelFault
from bramble_workloads.runtimes.converter import NotConvertible
from bramble_workloads.tasks.base import Outputs


class SplitOutputs(NamedTuple):
    """The outputs of every graph, in the order of `samples`, or the reason why a graph has none."""

    samples: list[Sample]
    outputs: dict[GraphKey, list[Outputs] | NotConvertible]

    def of(self, key: GraphKey) -> list[Outputs]:
        """The outputs of one graph.

        Raises:
            NotConvertible: the graph failed on the split, or could not be made.
        """
        found = self.outputs[key]
        if isinstance(found, NotConvertible):
            raise found
        return found


def run_split(
    work: Work[ConvertJob],
    source: Source,
    graphs: Mapping[GraphKey, VariantGraph | NotConvertible],
    samples: Sequence[Sample],
    split: str,
) -> SplitOutputs:
    """Run every graph on every sample.

    Raises:
        BadData: a sample cannot be processed, or the exported graph fails. Without its outputs there is nothing to compare the others with.
    """
    made = {key: graph for key, graph in graphs.items() if isinstance(graph, VariantGraph)}
    running = rows([graph.model for graph in made.values()], read_files(work.store.get_blob, source.manifest, samples))
    found = list(with_progress(work, f"{split}: {len(made)} graphs have answered", len(samples), running))
    outputs: dict[GraphKey, list[Outputs] | NotConvertible] = {
        key: graph for key, graph in graphs.items() if isinstance(graph, NotConvertible)
    }
    for position, key in enumerate(made):
        outputs[key] = _complete([row.outputs[position] for row in found], split, key)
    return SplitOutputs([row.sample for row in found], outputs)


def _complete(column: Sequence[Outputs | ModelFault], split: str, key: GraphKey) -> list[Outputs] | NotConvertible:
    """The outputs of one graph, or the reason if it failed on a sample."""
    outputs = []
    for each in column:
        if isinstance(each, ModelFault):
            if key == key_of(EXPORTED):
                raise each
            return NotConvertible(f"the {key} graph fails on the {split} split: {each}")
        outputs.append(each)
    return outputs
