"""Merges an ONNX file with the tensors that it keeps in files beside it, as torch's exporter writes them by default.

Source: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md. The onnx library can load such tensors itself, but it opens the paths
that the file names; here a name selects one of the files that the training program left, and no path is followed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, BinaryIO

import onnx
from google.protobuf.message import DecodeError, EncodeError, Message
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from bramble_workloads.errors import SpecError
from bramble_workloads.packaging.output import Output
from bramble_workloads.runtimes.base import first_line

LARGEST = 2**31 - 1
"""The most bytes of a protobuf message, and so of an ONNX file."""

LARGEST_GRAPH = 256 * 1024**2
"""A larger file has its weights inside: it is not parsed, which would need its size in memory several times over."""


def merge(exported: Path, name: str, output: Output, whole: BinaryIO) -> bool:
    """As `Converter.merge`. It needs twice the size of the whole file in memory."""
    if exported.stat().st_size > LARGEST_GRAPH:
        return False
    try:
        model = onnx.load(str(exported), load_external_data=False)
    except DecodeError:
        return False  # the runtime says what is wrong with a file that is no graph
    outside = [tensor for tensor in _tensors(model) if uses_external_data(tensor)]
    if not outside:
        return False
    with ExitStack() as opened:
        files: dict[str, IO[bytes]] = {}
        left = LARGEST - exported.stat().st_size
        for tensor in outside:
            left -= _bring_in(tensor, name, output, files, opened, left)
    try:
        content = model.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise SpecError(_too_large(name)) from error
    del model
    whole.write(content)
    return True


def _tensors(message: Message) -> Iterator[Any]:
    """Every tensor of a model, also those of subgraphs, functions and sparse tensors."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in [value] if isinstance(value, Message) else value:
            if isinstance(part, onnx.TensorProto):
                yield part
            else:
                yield from _tensors(part)


def _bring_in(tensor: Any, name: str, output: Output, files: dict[str, IO[bytes]], opened: ExitStack, left: int) -> int:
    """Move the data of one tensor into the model. Returns the number of bytes.

    Args:
        files: the files that are open, by name.
        left: how many bytes still fit.
    """
    where, start, wanted = _place(tensor, name)
    if where not in files:
        if where not in output.names():
            raise SpecError(
                f"{name} keeps weights in the file {where!r:.100}, which is not in $BRAMBLE_OUT: write it there under this name, or export"
                " with external_data=False"
            )
        files[where] = opened.enter_context(opened.enter_context(output.opened(where)).open("rb"))
    file = files[where]
    there = file.seek(0, 2) - start
    size = there if wanted is None else wanted
    if size > left:
        raise SpecError(_too_large(name))
    data = b""
    if 0 <= size <= there:
        file.seek(start)
        data = file.read(size)
    if len(data) != size or there < 0:
        raise SpecError(f"{where} ends before the weights {tensor.name!r:.100} that {name} keeps in it: write both files whole")
    tensor.raw_data = data
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
    return size


def _place(tensor: Any, name: str) -> tuple[str, int, int | None]:
    """The file in which the data of a tensor lies, its first byte, and how many bytes it has; None if it is the rest of the file."""
    try:
        info: Any = ExternalDataInfo(tensor)
    except ValueError as error:
        raise SpecError(f"{name}: {first_line(error)}: export it again") from error
    folder = posixpath.dirname(name)
    return posixpath.normpath(posixpath.join(folder, info.location)), int(info.offset or 0), info.length


def _too_large(name: str) -> str:
    return (
        f"{name} and the files beside it have more than {LARGEST} bytes, the most that an ONNX file can hold: export a smaller network,"
        " or weights of fewer bytes"
    )
