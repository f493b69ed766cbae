"""Turns the end of a rank into a cause: an error of its own, a crash, a signal from outside, a lost peer, or a stop by the launcher."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPEC_ERROR, BAD_DATA, TRY_AGAIN = 64, 65, 75
KINDS = {SPEC_ERROR: "SpecError", BAD_DATA: "BadData", TRY_AGAIN: "TryAgain"}
CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
"""Signals that a process raises itself. Every other signal comes from outside."""
LINES, LINE, MESSAGE = 20, 300, 600
AT_ITS_END = 5
"""A crash within this many lines after an exception is a consequence of the exception."""
PRECEDENCE = ("SpecError", "BadData", "Error", "Signal", "NodeLost", "Disrupted", "TryAgain", "PeerLost", "Terminated", "Unknown")
"""The same order as in `bramble.contracts.cause`, which the launcher cannot import. A test compares the two."""

LOST_PEER = re.compile(
    r"""
      Dist(?:Network|Store|Backend)Error          # torch.distributed, by type
    | gloo/\S+\.cc:\d+\]                          # every error of gloo's transports names its own source
    | nccl(?:RemoteError|SystemError|InternalError)
    | NCCL\ communicator\ was\ aborted
    | (?:Connection\ closed|Connection\ reset)\ by\ (?:remote\ )?peer\ \[
    | recvValue\ failed | wait\ timeout\ after \d+ms
    | Watchdog\ caught\ collective\ operation\ timeout
    | remote\ process\ exited\ or
    """,
    re.VERBOSE,
)
"""Matches the errors by which a collective operation reports a lost peer, in the error of a rank or in the end of its output."""

EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]\w*(?:Error|Exception|Exit|Group|Interrupt|Warning|Iteration|Fault)(?::.*)?$")
"""The last line of a Python traceback."""

RANK = re.compile(r"^\[rank\d+\]:\s?")
"""The prefix that torch gives every line of a traceback, once the rank has a process group."""

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""A control sequence of a terminal (ECMA-48, section 5.4)."""

LEFT_THREADS = "terminate called without an active exception"
"""The C++ runtime prints this if a process ends while threads of gloo run. It happens at times, after an exception or `sys.exit`."""


@dataclass(frozen=True)
class Ending:
    """The exit code or the signal of a rank that ended by itself. Exactly one of the two is set. Code 0 is success."""

    code: int | None = None
    signal: int | None = None

    @property
    def failed(self) -> bool:
        """True if the rank failed."""
        return self.code != 0


@dataclass(frozen=True)
class ErrorFile:
    """What a rank wrote about its end: torch's `record` an exception, and the built-in program also its exit code and the kind of error.

    Attributes:
        message: the exception; None without a file.
        trace: the message and the traceback.
        code: the exit code that the rank was about to end with.
        kind: the kind of error, if the program states it.
    """

    message: str | None = None
    trace: str = ""
    code: int = 1
    kind: str = ""

    @classmethod
    def read(cls, path: Path) -> ErrorFile:
        """Read the file. One that is missing or of an unknown form says nothing: the output of the rank is still there."""
        try:
            found = json.loads(path.read_text())["message"]
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            return cls()
        if not isinstance(found, dict):
            return cls(str(found), str(found))
        message, extra, code = str(found.get("message", "")), found.get("extraInfo"), found.get("errorCode")
        extra = extra if isinstance(extra, dict) else {}
        trace = message + "\n" + str(extra.get("py_callstack", ""))
        return cls(message, trace, code if isinstance(code, int) else 1, str(extra.get("kind", "")))


def peek(pid: int) -> Ending | None:
    """The ending of a child process; None while it runs. The child is not reaped here, because the code that started it does that."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return Ending(code=found.si_status) if found.si_code == os.CLD_EXITED else Ending(signal=found.si_status)


def cause(rank: int, ending: Ending, error: Path, lines: list[str], alone: bool) -> dict[str, Any]:
    """Make the cause of a rank that ended, as the JSON of a `bramble.contracts.cause.Cause`.

    Args:
        rank: the global rank.
        ending: the exit code or signal. The launcher did not stop the rank.
        error: the file into which torch's `record`, or a built-in program, wrote the exception.
        lines: the last lines of the rank's output.
        alone: True if there is no other rank, so that no peer can be lost.
    """
    document: dict[str, Any] = {"rank": rank, "lines": [line[:LINE] for line in lines[-LINES:]]}
    found = ErrorFile.read(error)
    said, trace = found.message, found.trace
    if not said:
        said, trace = _last_exception(lines[-AT_ITS_END:] if ending.signal else lines), "\n".join(lines)
    lost = not alone and LOST_PEER.search(trace) is not None
    if ending.signal is not None:
        kind, message = _of_a_signal(ending.signal, said, lines, lost)
        document.update(signal=_signal_name(ending.signal), exitCode=128 + ending.signal)
    else:
        kind = KINDS.get(ending.code or 0, "PeerLost" if lost else "Error")
        if kind == "TryAgain" and found.kind in {"Disrupted", "Terminated"}:
            kind = found.kind
        message = f"ended with code {ending.code}: {said or _last_line(lines) or 'no error was printed'}"
        document.update(exitCode=ending.code)
    return dict(document, kind=kind, message=f"rank {rank} {_one_line(message)}"[:MESSAGE])


def _of_a_signal(number: int, said: str | None, lines: list[str], lost: bool) -> tuple[str, str]:
    """The kind and the message for a signal. If a process printed an exception and crashed in its teardown, the exception is the cause."""
    name = _signal_name(number)
    if number not in CRASHES:
        hint = ": most often the memory limit" if number == signal.SIGKILL else ""
        return "Signal", f"was ended from outside by {name}{hint}"
    if said:
        return "PeerLost" if lost else "Error", f"ended with an exception, and while it ended by {name}: {said}"
    if lost and number == signal.SIGABRT:
        word = next(line.strip() for line in lines if LOST_PEER.search(line))
        return "PeerLost", f"ended itself by SIGABRT, as NCCL's watchdog does when a peer is gone: {word}"
    if any(LEFT_THREADS in line for line in lines[-AT_ITS_END:]):
        why = "its process group was alive when it left, and hid its exit code; call torch.distributed.destroy_process_group() first"
    else:
        why = f"a crash in native code: {_last_line(lines) or 'it printed nothing'}"
    return "Signal", f"was ended by {name}: {why}"


def stopped(rank: int, why: str, lines: list[str]) -> dict[str, Any]:
    """The cause of a rank that the launcher stopped."""
    message = f"rank {rank} was stopped by the launcher because {why}"
    return {"kind": "Terminated", "rank": rank, "message": message[:MESSAGE], "lines": [line[:LINE] for line in lines[-LINES:]]}


def exit_code(first: dict[str, Any]) -> int:
    """The exit code of the launcher for its first cause."""
    for code, kind in KINDS.items():
        if first["kind"] == kind:
            return code
    return TRY_AGAIN if first["kind"] in {"Disrupted", "PeerLost", "Terminated"} else 1


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(lines: list[str]) -> str:
    """The last line of the output, which may be empty."""
    return lines[-1].strip() if lines else ""


def _one_line(text: str) -> str:
    """The text without the escapes that colour a terminal, and on one line."""
    return " ".join(ESCAPE.sub("", text).split())


def _last_exception(lines: list[str]) -> str | None:
    """The last line that ends a traceback; None if there is none."""
    bare = [RANK.sub("", line).strip(" |") for line in lines]  # lines of an ExceptionGroup begin with `|`
    return next((line for line in reversed(bare) if EXCEPTION.match(line)), None)
