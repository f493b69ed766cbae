"""Copies the output of the ranks: to the log of the pod, with the rank before each line, and to a file of at most two parts for each rank.

A separate process does this, so that a busy launcher does not delay the output, and no output is lost if the launcher dies.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
from pathlib import Path
from typing import BinaryIO

PART_BYTES = 10 * 1024 * 1024
"""The size of one part in bytes. The newest part and the one before it together always have at least this much of the end of the output."""
CHUNK = 65536
LONGEST_LINE = 65536


class Pump:
    """The pipes into which the ranks write, and the process that reads them."""

    def __init__(self, files: dict[int, Path]) -> None:
        """`files` are the files for the output, by rank."""
        pipes = {rank: os.pipe() for rank in files}
        self.inputs: dict[int, int] = {rank: ends[1] for rank, ends in pipes.items()}
        """The file descriptor into which each rank writes."""
        control = os.pipe()
        self._control = control[1]
        sys.stdout.flush()
        self._process = os.fork()
        if self._process == 0:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)  # the launcher decides when this process ends
            for descriptor in (*self.inputs.values(), self._control):
                os.close(descriptor)
            code = 1
            try:
                _copy_until_closed({rank: ends[0] for rank, ends in pipes.items()}, control[0], files)
                code = 0
            finally:
                os._exit(code)
        for ends in pipes.values():
            os.close(ends[0])
        os.close(control[0])

    def forget(self) -> None:
        """Close the launcher's copies of the descriptors, once all ranks have theirs."""
        for descriptor in self.inputs.values():
            os.close(descriptor)
        self.inputs = {}

    def finish(self) -> None:
        """Wait until all output so far is in the files and in the log of the pod, and end the process."""
        if self._process:
            self.forget()
            with contextlib.suppress(BrokenPipeError):  # the process was killed
                os.write(self._control, b".")  # closing alone is not enough, because forked children hold copies of this end
            os.close(self._control)
            os.waitpid(self._process, 0)
            self._process = 0


class _Part:
    """The file of one rank. When it is full, it becomes the older part and a new one begins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("ab")

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()
        if self._file.tell() >= PART_BYTES:
            self._file.close()
            self._path.replace(f"{self._path}.1")
            self._file = self._path.open("ab")


def _copy_until_closed(outputs: dict[int, int], control: int, files: dict[int, Path]) -> None:
    """Copy the output until every writer has closed its pipe, or until the control pipe is written to or closed. Then copy the rest."""
    parts = {rank: _Part(path) for rank, path in files.items()}
    rests: dict[int, bytes] = dict.fromkeys(outputs, b"")
    selector = selectors.DefaultSelector()
    for rank, descriptor in outputs.items():
        os.set_blocking(descriptor, False)
        selector.register(descriptor, selectors.EVENT_READ, rank)
    selector.register(control, selectors.EVENT_READ, None)
    ending = False
    while (ready := selector.select(timeout=0 if ending else None)) or not ending:
        for key, _ in ready:
            if key.data is None:
                ending = True
                selector.unregister(control)
                continue
            content = os.read(key.fd, CHUNK)
            if not content:
                selector.unregister(key.fd)
                continue
            parts[key.data].write(content)
            rests[key.data] = _print(key.data, rests[key.data] + content)
    for rank, rest in rests.items():
        if rest:
            _print(rank, rest + b"\n")


def _print(rank: int, content: bytes) -> bytes:
    """Print the complete lines of the content. Returns the rest."""
    lines: list[bytes] = content.split(b"\n")
    rest = lines.pop()
    if len(rest) > LONGEST_LINE:
        lines.append(rest)
        rest = b""
    prefix = f"[{rank}] ".encode()
    text = b"".join(prefix + line + b"\n" for line in lines)
    while text:
        text = text[os.write(1, text) :]
    return rest


def last_lines(file: Path, older: Path, count: int) -> list[str]:
    """The last `count` non-empty lines of the output of a rank."""
    content = b""
    for path in (file, older):
        if path.exists() and len(content) < CHUNK:
            with path.open("rb") as stream:
                stream.seek(max(0, path.stat().st_size - CHUNK))
                content = stream.read() + content
    return [line for line in content.decode(errors="replace").splitlines() if line.strip()][-count:]
