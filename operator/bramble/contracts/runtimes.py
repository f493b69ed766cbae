"""The runtimes that run models on boards: what the API, a package and the jobs need to know of each.

The code of a runtime is the folder `bramble_workloads/runtimes/<format>/`; docs/rooms.md says how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from bramble.contracts.base import OneOf


class Precision(NamedTuple):
    """The type of numbers that a graph computes with."""

    name: str
    calibrated: bool
    """Whether samples of the train split choose the ranges of its numbers."""
    summary: str


FLOAT32 = Precision("float32", calibrated=False, summary="as trained")
INT8 = Precision("int8", calibrated=True, summary="statically quantised, smaller and faster on boards")


@dataclass(frozen=True, slots=True)
class Export:
    """A file in which training leaves the model in `$BRAMBLE_OUT`, and from which converters make graphs."""

    name: str
    """Its key in the `files` of the package that training makes."""
    file: str
    media_type: str


MODEL = Export(name="model", file="model.onnx", media_type="application/onnx")
"""The graph in float32. Every trainer leaves it: evaluation runs it, and the other variants are compared with it."""


@dataclass(frozen=True, slots=True)
class RuntimeContract:
    """One runtime."""

    format: str
    """`variants[].format` of a ModelVersion, and the name of the runtime's folder."""
    runtime: str
    """`variant.runtime` of a package: the program that runs its graph."""
    title: str
    """What messages and docs call it."""
    media_type: str
    """Of its graph in a package."""
    precisions: tuple[Precision, ...]
    made_from: Export
    """What its converter starts from."""


ONNX = RuntimeContract(
    format="onnx",
    runtime="onnxruntime",
    title="ONNX Runtime",
    media_type="application/onnx",
    precisions=(FLOAT32, INT8),
    made_from=MODEL,
)

RUNTIMES: tuple[RuntimeContract, ...] = (ONNX,)
"""Every runtime. The first one runs what training exports."""

PRECISIONS = tuple(dict.fromkeys(precision for each in RUNTIMES for precision in each.precisions))
EXPORTS = tuple(dict.fromkeys((MODEL, *(each.made_from for each in RUNTIMES))))
EXPORTED_NAME = f"{RUNTIMES[0].format}-fp32"
"""The name of the variant that training exports, and of the one that is made when a ModelVersion names none."""

FormatName = Annotated[str, OneOf(tuple(each.format for each in RUNTIMES))]
RuntimeName = Annotated[str, OneOf(tuple(each.runtime for each in RUNTIMES))]
PrecisionName = Annotated[str, OneOf(tuple(precision.name for precision in PRECISIONS))]


def by_format(name: str) -> RuntimeContract:
    """The runtime of a variant's format. Raises KeyError: there is none."""
    return {each.format: each for each in RUNTIMES}[name]


def by_runtime(name: str) -> RuntimeContract:
    """The runtime that a package names. Raises KeyError: there is none."""
    return {each.runtime: each for each in RUNTIMES}[name]


def precision_named(name: str) -> Precision:
    """A precision by its name. Raises KeyError: there is none."""
    return {precision.name: precision for precision in PRECISIONS}[name]
