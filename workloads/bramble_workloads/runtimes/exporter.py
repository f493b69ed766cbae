"""The interface of an exporter, which writes the file that a runtime's converter starts from.

A runtime's `export.py` defines `EXPORTER`, an `Exporter`. It is imported in the trainer's image, which has torch. A runtime whose converter
starts from another runtime's file (the same `made_from`) has no `export.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bramble.contracts.package import ModelDescription
from bramble.contracts.runtimes import RUNTIMES, Export

if TYPE_CHECKING:
    import torch


class Exporter(ABC):
    """Writes the file of one `Export`."""

    @abstractmethod
    def write(self, module: torch.nn.Module, example: torch.Tensor, description: ModelDescription, path: Path) -> None:
        """Write a trained module to a file.

        Args:
            module: a module in evaluation mode. It takes one tensor and returns the outputs of the description, in that order.
            example: a tensor of the input's shape.
            description: has the names of the file's inputs and outputs.
            path: the file to write.

        Raises:
            SpecError: the module cannot be exported.
        """


def exporter_of(export: Export) -> Exporter:
    """The exporter of the first runtime that starts from this file. Its libraries are imported here."""
    first = next(runtime for runtime in RUNTIMES if runtime.made_from == export)
    found: Exporter = import_module(f"bramble_workloads.runtimes.{first.format}.export").EXPORTER
    return found
