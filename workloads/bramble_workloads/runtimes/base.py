"""The interface of a runtime on a board, and the checks that all runtimes share.

A runtime's `run.py` defines `RUNTIME`, a `Runtime`. It is imported on boards, so it may import the runtime's own library and numpy only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bramble.contracts.package import ModelDescription, Package
from bramble.contracts.runtimes import RuntimeContract, by_runtime
from bramble_workloads.processing.errors import DescriptionError, ModelFault
from bramble_workloads.processing.problems import Problems

Floats = NDArray[np.float32]
LINE = 300
"""The most characters of a runtime's message that are shown."""


class Graph(ABC):
    """A graph that was loaded. `run` may be called by several threads at once and releases the GIL while the graph runs."""

    @abstractmethod
    def run(self, tensor: Floats) -> dict[str, Floats]:
        """Run the graph on one tensor of the shape that its description states.

        Returns:
            The outputs by name, in the order and shapes of the description.

        Raises:
            ModelFault: the runtime fails, or an output has another shape.
        """


class Runtime(ABC):
    """Loads graphs of one format."""

    contract: RuntimeContract

    @abstractmethod
    def release(self) -> str:
        """The version of the runtime's library in this image, such as 1.31.1."""

    @abstractmethod
    def load(self, description: ModelDescription, graph: Path | bytes, threads: int) -> Graph:
        """Load a graph.

        Args:
            description: the inputs and outputs of the graph.
            graph: a file that the caller has verified, or its bytes. Give a large graph as a file: it needs no second copy in
                memory.
            threads: how many threads one run uses.

        Raises:
            DescriptionError: the runtime refuses the graph, or its names, types or shapes differ from the description.
        """


def runtime_named(name: str) -> Runtime:
    """The runtime that a package names in `variant.runtime`.

    Its library is imported here: a board imports only the libraries of the graphs that it serves.
    """
    module = import_module(f"bramble_workloads.runtimes.{by_runtime(name).format}.run")
    found: Runtime = module.RUNTIME
    return found


def require_release(package: Package, runtime: Runtime) -> None:
    """Check that the runtime in this image is not older than the package's `variant.minRuntime`.

    Raises:
        DescriptionError: it is older, or `variant.minRuntime` is not a release number.
    """
    wanted, present = package.variant.min_runtime, runtime.release()
    try:
        too_old = _numbers(present) < _numbers(wanted)
    except ValueError:
        raise DescriptionError(f"variant.minRuntime is {wanted!r}: write a release number such as 1.31") from None
    if too_old:
        raise DescriptionError(f"the package needs {runtime.contract.title} {wanted} and this image has {present}: update the image")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+", maxsplit=1)[0].split(".")[:3])


class Port(NamedTuple):
    """An input or output of a graph: its numpy dtype, or the runtime's name of a type that numpy has not, and its dimensions."""

    dtype: str
    shape: tuple[int | str | None, ...]
    """A dimension that the graph leaves open is a name or None."""


def require_described(description: ModelDescription, inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> None:
    """Compare the graph's inputs and outputs, by name, with the description.

    Raises:
        DescriptionError: names, types or shapes differ; the message states both, for each.
    """
    tensor, problems = description.input.tensor, Problems()
    _require_same("input", {tensor.name: Port(tensor.dtype, tensor.shape)}, inputs, problems)
    _require_same("output", {output.name: Port(output.dtype, output.shape) for output in description.outputs}, outputs, problems)
    problems.require_none()


def _require_same(side: str, stated: Mapping[str, Port], found: Mapping[str, Port], problems: Problems) -> None:
    if set(stated) != set(found):
        problems.add(f"the graph's {side}s are {', '.join(sorted(found))}; the package states {', '.join(sorted(stated))}")
    for name, (dtype, shape) in stated.items():
        if name in found and (found[name].dtype != dtype or not _fits(found[name].shape, shape)):
            there = f"{found[name].dtype} {list(found[name].shape)}"
            problems.add(f"the graph's {side} {name!r} is {there}; the package states {dtype} {list(shape)}")


def _fits(graph: tuple[int | str | None, ...], stated: tuple[int | str | None, ...]) -> bool:
    return len(graph) == len(stated) and all(
        not isinstance(ours, int) or ours == theirs for ours, theirs in zip(graph, stated, strict=True)
    )


def require_shapes(description: ModelDescription, outputs: Mapping[str, Floats]) -> None:
    """Check that the outputs have the shapes that the description states.

    Raises:
        ModelFault: an output has another shape.
    """
    for output in description.outputs:
        found = outputs[output.name].shape
        if found != output.shape:
            raise ModelFault(f"output {output.name!r} has shape {list(found)}; the package states {list(output.shape)}")


def first_line(error: BaseException) -> str:
    """The first line of a runtime's message: the others are a stack trace.

    It is shortened in the middle to 300 characters. What is wrong stands at the end, after the places in the runtime's source.
    """
    line = str(error).strip().split("\n", 1)[0]
    return line if len(line) <= LINE else f"{line[: LINE // 2 - 3]} ... {line[-(LINE // 2 - 2) :]}"
