"""Runs the model of a package: preprocessing, graph and decoding. Every step that runs a model uses `Model`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from bramble.contracts.package import ModelDescription, Package
from bramble.contracts.runtimes import RUNTIMES
from bramble_workloads.limits import usable_cores
from bramble_workloads.processing.problems import Problems
from bramble_workloads.runtimes.base import Floats, Graph, require_release, runtime_named
from bramble_workloads.tasks.base import Answer, Decoder, ToTensor
from bramble_workloads.tasks.catalogue import task_of


class Prediction(NamedTuple):
    """The answer to one input, and the graph's outputs by name."""

    answer: Answer[Any]
    outputs: dict[str, Floats]


class Model:
    """A loaded model. `predict` may be called by several threads at once. A call blocks while the graph runs, without the GIL."""

    def __init__(self, description: ModelDescription, graph: Graph, preprocessor: ToTensor, decode: Decoder[Any]) -> None:
        self.description, self.preprocessor, self.decode = description, preprocessor, decode
        self._graph = graph

    @classmethod
    def load(cls, description: ModelDescription, graph: Path | bytes, threads: int | None = None) -> Self:
        """Load a graph from a file, which the caller has verified, or from its bytes.

        Args:
            description: the inputs and outputs of the graph. A `Package` also states the runtime and the threads. The description that a
                trainer writes does not state them; its graph is loaded by the first runtime.
            graph: the file, or its bytes.
            threads: the number of threads of one run. If None, it is `threads_of` the package, or 1 without a package.

        Raises:
            DescriptionError: the runtime is older than the package asks, or refuses the graph; or names and shapes differ from the
                description, or the description contradicts itself. The message has all of these that there are.
        """
        if isinstance(description, Package):
            runtime = runtime_named(description.variant.runtime)
            require_release(description, runtime)
            threads = threads or threads_of(description)
        else:
            runtime = runtime_named(RUNTIMES[0].runtime)
        task, problems = task_of(description.task), Problems()
        with problems.collected():
            loaded = runtime.load(description, graph, threads or 1)
        with problems.collected():
            preprocessor = task.medium.preprocessor(description)
        with problems.collected():
            decode = task.decoder(description)
        problems.require_none()
        return cls(description, loaded, preprocessor, decode)

    def run(self, tensor: Floats) -> dict[str, Floats]:
        """Run the graph on one tensor. Returns the outputs by name, float32 in the package's shapes.

        Raises:
            ModelFault: the runtime fails, or an output has another shape than the package states.
        """
        return self._graph.run(tensor)

    def predict(self, content: bytes) -> Prediction:
        """Preprocess one input, run the graph, and decode its outputs.

        Raises:
            InputError: the input cannot be processed.
            ModelFault: the graph fails, or its outputs have numbers that are not finite.
        """
        return self.answer(self.run(self.preprocessor(content)))

    def answer(self, outputs: Mapping[str, Floats]) -> Prediction:
        """Decode the graph's outputs.

        Raises:
            ModelFault: the outputs are not an answer, for example because numbers are not finite.
        """
        return Prediction(self.decode(outputs), dict(outputs))


def threads_of(package: Package) -> int:
    """The threads of one run: as many as the package asks for, and at most the processors that this process may use."""
    return min(package.serving.threads, usable_cores())


def calls_at_once(package: Package) -> int:
    """How many runs there may be at once: as many as the package asks for, and at most the processors that this process may use."""
    return min(package.serving.concurrency, usable_cores())
