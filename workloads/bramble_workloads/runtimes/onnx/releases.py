"""The least release of ONNX Runtime that loads a graph."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import onnx
import onnxruntime

STANDARD = frozenset({"", "ai.onnx"})


class Release(NamedTuple):
    """The newest opset of the standard operators, and the newest version of the file format, that a release loads."""

    name: str
    opset: int
    ir: int


RELEASES = (
    Release("1.15", 19, 9),
    Release("1.17", 20, 9),
    Release("1.18", 21, 10),
    Release("1.21", 22, 10),
    Release("1.23", 23, 11),
    Release("1.24", 25, 13),
    Release("1.25", 26, 13),
)
"""The releases with which a bound grew, oldest first.

Measured: each minor release from 1.15, the oldest for CPython 3.11, to 1.31 was given a graph for each opset from 13 to 28 and for each
version of the format from 7 to 14.
"""


def least_release(graph: Path) -> str:
    """The least release that loads a graph, such as 1.17.

    It is the release here if the graph has operators that are no standard ones, since releases differ in those, or is newer than the table.
    """
    model = onnx.load(str(graph), load_external_data=False)
    here = ".".join(onnxruntime.__version__.split(".")[:2])
    if any(each.domain not in STANDARD for each in model.opset_import):
        return here
    opset = max((each.version for each in model.opset_import), default=1)
    return next((release.name for release in RELEASES if opset <= release.opset and model.ir_version <= release.ir), here)
