"""How a rank ended, and what that says about the cause: its own error, a crash, a signal, a lost peer, or the launcher itself."""

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
"""What a process does to itself; every other signal comes from outside."""
LINES, LINE, MESSAGE = 20, 300, 600
AT_ITS_END = 5
"""Lines of output, the last: an exception in them is what a crash came after."""
PRECEDENCE = ("SpecError", "BadData", "Error", "Signal", "NodeLost", "TryAgain", "PeerLost", "Terminated", "Unknown")
"""As in `bramble.contracts.cause`, which the launcher cannot import; a test compares them."""

LOST_PEER = re.compile(
    r"""
      Dist(?:Network|Store|Backend)Error          # torch.distributed, by type
    | gloo/\S+\.cc:\d+\]                          # every error of gloo's transports names its own source
    | nccl(?:RemoteError|SystemError|InternalError)
    | NCCL\ communicator\ was\ aborted
    | (?:Connection\ closed|Connection\ reset)\ by\ (?:remote\ )?peer\ \[
    | Socket\ Timeout | recvValue\ failed | wait\ timeout\ after \d+ms
    | Watchdog\ caught\ collective\ operation\ timeout
    | remote\ process\ exited\ or
    """,
    re.VERBOSE,
)
"""What a collective says when the other side is gone. Matched against a rank's error, or the end of its output without one."""

EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt|Warning|Iteration|Fault)(?::.*)?$")
"""The last line of a Python traceback."""

RANK = re.compile(r"^\[rank\d+\]:\s?")
"""What torch puts before every line of the traceback of a rank with a process group."""

LEFT_THREADS = "terminate called without an active exception"
"""What the C++ runtime says of a process that leaves while threads of gloo run: now and then, after an exception or `sys.exit`."""


@dataclass(frozen=True)
class Ending:
    """The way one rank ended by itself: exactly one of the two is set; code 0 is success."""

    code: int | None = None
    signal: int | None = None

    @property
    def failed(self) -> bool:
        """Whether there is a cause to be found."""
        return self.code != 0


def peek(pid: int) -> Ending | None:
    """How a child of this process ended, without reaping it, which is for whoever started it; None while it runs."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return Ending(code=found.si_status) if found.si_code == os.CLD_EXITED else Ending(signal=found.si_status)


def cause(rank: int, ending: Ending, error: Path, lines: list[str], alone: bool) -> dict[str, Any]:
    """The cause that a rank's own end amounts to, as `bramble.contracts.cause.Cause` has it.

    Args:
        rank: global rank.
        ending: not of a rank that the launcher ended.
        error: the file in which torch's `record`, or a program of ours, left the exception.
        lines: the end of its output.
        alone: there is no other rank, so none can have been lost.
    """
    document: dict[str, Any] = {"rank": rank, "lines": [line[:LINE] for line in lines[-LINES:]]}
    said, trace = _error(error)
    if not said:
        said, trace = _last_exception(lines[-AT_ITS_END:] if ending.signal else lines), "\n".join(lines)
    lost = not alone and LOST_PEER.search(trace) is not None
    if ending.signal is not None:
        kind, message = _of_a_signal(ending.signal, said, lines, lost)
        document.update(signal=_signal_name(ending.signal), exitCode=128 + ending.signal)
    else:
        kind = KINDS.get(ending.code or 0, "PeerLost" if lost else "Error")
        message = f"ended with code {ending.code}: {said or _last_word(lines) or 'no error was printed'}"
        document.update(exitCode=ending.code)
    return dict(document, kind=kind, message=f"rank {rank} {message}"[:MESSAGE])


def _of_a_signal(number: int, said: str | None, lines: list[str], lost: bool) -> tuple[str, str]:
    """Kind and message. A process that has printed its exception and then crashes on its way out has failed by the exception."""
    name = _signal_name(number)
    if number not in CRASHES:
        hint = ": most often the memory limit" if number == signal.SIGKILL else ""
        return "Signal", f"was ended from outside by {name}{hint}"
    if said:
        return "PeerLost" if lost else "Error", f"ended with an exception, and on its way out by {name}: {said}"
    if lost and number == signal.SIGABRT:
        word = next(line.strip() for line in lines if LOST_PEER.search(line))
        return "PeerLost", f"ended itself by SIGABRT, as NCCL's watchdog does when a peer is gone: {word}"
    if any(LEFT_THREADS in line for line in lines[-AT_ITS_END:]):
        why = "its process group was alive when it left, and hid its exit code; call torch.distributed.destroy_process_group() first"
    else:
        why = f"a crash in native code: {_last_word(lines) or 'without a word'}"
    return "Signal", f"was ended by {name}: {why}"


def stopped(rank: int, lines: list[str]) -> dict[str, Any]:
    """The cause of a rank that ended because another had."""
    message = f"rank {rank} was stopped by the launcher because another rank had ended"
    return {"kind": "Terminated", "rank": rank, "message": message, "lines": [line[:LINE] for line in lines[-LINES:]]}


def exit_code(first: dict[str, Any]) -> int:
    """The launcher's own code for its first cause."""
    for code, kind in KINDS.items():
        if first["kind"] == kind:
            return code
    return TRY_AGAIN if first["kind"] in {"PeerLost", "Terminated"} else 1


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _error(path: Path) -> tuple[str | None, str]:
    """Message and traceback of an error file; (None, "") without one."""
    try:
        found = json.loads(path.read_text())["message"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None, ""  # none, or one of a form that torch does not write: the output is still there
    if isinstance(found, str):
        return found, found
    message = str(found.get("message", ""))
    return message, message + "\n" + str(found.get("extraInfo", {}).get("py_callstack", ""))


def _last_word(lines: list[str]) -> str:
    """The last line, which may be empty."""
    return lines[-1].strip() if lines else ""


def _last_exception(lines: list[str]) -> str | None:
    """The last line that ends a traceback; None without one."""
    bare = [RANK.sub("", line).strip() for line in lines]
    return next((line for line in reversed(bare) if EXCEPTION.match(line)), None)
