"""The interface of a converter, which makes the graphs of one runtime in the step `convert`.

A runtime's `make.py` defines `CONVERTER`, a `Converter`. Only the converter's image has the libraries that it imports.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bramble.contracts.jobs.convert import VariantSpec
from bramble.contracts.package import ModelDescription
from bramble.contracts.runtimes import RUNTIMES, Export, RuntimeContract
from bramble_workloads.errors import BadData
from bramble_workloads.packaging.output import Output
from bramble_workloads.runtimes.base import Floats, Graph


class NotConvertible(BadData):
    """A variant cannot be made from this model. The other variants are made all the same. The message says why, and what to change."""


class Quantised(NamedTuple):
    """The unit in which the outputs of a quantised graph differ between two processors."""

    step: float | None
    """The quantisation step of the output, in the output's own units; None if the graph computes its output in float."""
    least_tolerance: float
    """The difference in steps that golden cases tolerate at least, however little the graph's alternatives differ."""


@dataclass(frozen=True)
class Form:
    """A graph that was made for one runtime in one precision."""

    graph: Path
    """The file. It is the exported file if that can be used unchanged."""
    quantised: Quantised | None = None
    """None for a float graph."""
    method: Mapping[str, str] = field(default_factory=dict)
    """The method and settings by which it was made, for the package's lineage."""


Candidates = Mapping[str, Callable[[], Form]]
"""The graphs of which the conversion takes one, in order of preference: a name for people, and a function that makes the graph. The
function raises NotConvertible if the graph cannot be made in this way."""


class Converter(ABC):
    """Makes graphs of one format."""

    contract: RuntimeContract

    @abstractmethod
    def libraries(self) -> dict[str, str]:
        """The versions of the libraries that make graphs, by name, for the package's lineage."""

    @abstractmethod
    def merge(self, exported: Path, name: str, output: Output, whole: BinaryIO) -> bool:
        """Write an exported file, together with what it keeps in files beside it, as one file.

        Args:
            exported: the file that `contract.made_from` names, as the training program left it.
            name: its name in `output`, for messages.
            output: all files that the program left. Data lies in one of these or cannot be used: what the file names is no path.
            whole: the file to write.

        Returns:
            False if the exported file is whole already; then nothing is written. So it is for a format that keeps everything in one file.

        Raises:
            SpecError: a file beside it is missing or too short, or one file cannot hold everything.
        """

    @abstractmethod
    def require_repeatable(self, graph: Path, name: str) -> None:
        """Check that a graph gives the same outputs for the same input in every run, as golden cases need.

        Args:
            graph: the whole file.
            name: its name in the output, for messages.

        Raises:
            SpecError: a node draws random numbers, and the message names it; or the file is no graph.
        """

    @abstractmethod
    def least_release(self, graph: Path) -> str:
        """The least release of the runtime that loads a graph, such as 1.17, for `variant.minRuntime`."""

    @abstractmethod
    def candidates(
        self, exported: Path, description: ModelDescription, variant: VariantSpec, calibration: Iterator[Floats], folder: Path
    ) -> Candidates:
        """Prepare the graphs that can be made for a variant. Their inputs and outputs have the names and shapes of the description.

        The conversion makes them one after the other, as far as its time allows, and takes the one that answers best. Work that all of
        them need, such as running the calibration samples, is done here.

        Args:
            exported: the file that `contract.made_from` names.
            description: the inputs and outputs of the model.
            variant: the precision that is wanted, one of `contract.precisions`.
            calibration: preprocessed samples of the train split, each in the shape of the input; empty for a precision that is not
            calibrated.
                An exception of the iterator is not the graph's fault and must pass through.
            folder: an empty folder that belongs to this variant.

        Raises:
            NotConvertible: no such graph can be made of this model.
        """

    @abstractmethod
    def alternatives(self, form: Form, description: ModelDescription, count: int) -> Iterator[Graph]:
        """Load a graph in other ways, which differ from how a board computes it only as processors differ from each other.

        Golden cases tolerate as much as the outputs of these differ, so they must differ at least as much as two processors do.

        Args:
            form: a graph that this converter made.
            description: its inputs and outputs.
            count: how many are wanted. A converter that has fewer ways yields fewer.
        """


def converter_of(contract: RuntimeContract) -> Converter:
    """The converter of a runtime. Its libraries are imported here."""
    found: Converter = import_module(f"bramble_workloads.runtimes.{contract.format}.make").CONVERTER
    return found


def converter_from(export: Export) -> Converter:
    """The converter of the first runtime whose graphs are made from this exported form of a model."""
    return converter_of(next(runtime for runtime in RUNTIMES if runtime.made_from == export))
