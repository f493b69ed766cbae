"""The interface of a converter, which makes the graphs of one runtime in the step `convert`.

A runtime's `make.py` defines `CONVERTER`, a `Converter`. Only the converter's image has the libraries that it imports.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bramble.contracts.jobs.convert import VariantSpec
from bramble.contracts.package import ModelDescription
from bramble.contracts.runtimes import RuntimeContract
from bramble_workloads.errors import BadData
from bramble_workloads.packaging.output import Output
from bramble_workloads.runtimes.base import Floats


class NotConvertible(BadData):
    """A variant cannot be made from this model. The other variants are made all the same. The message says why, and what to change."""


class Quantised(NamedTuple):
    """How far the outputs of a quantised graph may differ between two processors."""

    step: float
    """The quantisation step of the output, in the output's own units."""
    tolerance: float
    """The greatest difference in steps."""


@dataclass(frozen=True)
class Form:
    """A graph that was made for one runtime in one precision."""

    graph: Path
    """The file. It is the exported file if that can be used unchanged."""
    quantised: Quantised | None = None
    """None for a float graph."""
    method: Mapping[str, str] = field(default_factory=dict)
    """The method and settings by which it was made, for the package's lineage."""


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
    def least_release(self, graph: Path) -> str:
        """The least release of the runtime that loads a graph, such as 1.17, for `variant.minRuntime`."""

    @abstractmethod
    def make(
        self, exported: Path, description: ModelDescription, variant: VariantSpec, calibration: Iterator[Floats], folder: Path
    ) -> Form:
        """Make one graph. Its inputs and outputs have the names and shapes of the description.

        Args:
            exported: the file that `contract.made_from` names.
            description: the inputs and outputs of the model.
            variant: the precision that is wanted, one of `contract.precisions`.
            calibration: preprocessed samples of the train split, each in the shape of the input; empty for a precision that is not
            calibrated.
                An exception of the iterator is not the graph's fault and must pass through.
            folder: an empty folder that belongs to this graph.

        Raises:
            NotConvertible: the graph cannot be made of this model.
        """


def converter_of(contract: RuntimeContract) -> Converter:
    """The converter of a runtime. Its libraries are imported here."""
    found: Converter = import_module(f"bramble_workloads.runtimes.{contract.format}.make").CONVERTER
    return found
