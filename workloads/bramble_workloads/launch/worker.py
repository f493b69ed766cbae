"""Runs the built-in training program as one rank, in a forked child of the launcher, which has already imported torch and the program."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

FAILED = 1


def run(entry: str, inputs: dict[int, int]) -> None:
    """Redirect the output to the pipe of this rank, run `module:function`, and end with its exit code.

    The function returns an exit code or raises. An exception with an attribute `code` ends the rank with that code, any other with 1.
    """
    own = inputs[int(os.environ["RANK"])]
    os.dup2(own, 1)
    os.dup2(own, 2)
    for descriptor in inputs.values():
        os.close(descriptor)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # the fork has inherited the handlers of the agent
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    module, _, function = entry.partition(":")
    with _Ending() as ending:
        ending.code = getattr(importlib.import_module(module), function)()
    sys.stdout.flush()
    sys.stderr.flush()
    if ending.code:
        os._exit(ending.code)  # skip Python's teardown, which would wait for peers that have ended


class _Ending:
    """A context manager that turns an exception into an exit code, and an error file as torch's `record` writes it."""

    code: int = 0

    def __enter__(self) -> _Ending:  # noqa: PYI034  (typing.Self is newer than the launcher's oldest Python)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None or isinstance(error, SystemExit):
            return False
        self.code = getattr(error, "code", FAILED)
        said = str(error) if self.code != FAILED else f"{type(error).__name__}: {error}"
        stack = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(stack if self.code == FAILED else f"{type(error).__name__}: {said}\n")
        extra = {"py_callstack": stack, "timestamp": str(int(time.time())), "kind": getattr(error, "kind", "Error")}
        message = {"message": said, "errorCode": self.code, "extraInfo": extra}
        with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:  # noqa: PTH123
            json.dump({"message": message}, file)
        return True
