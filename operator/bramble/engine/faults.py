"""Write sites: the points before and after each write at which tests kill the operator.

A site is named `before:<kind>/<verb>/<child>` or `after:<kind>/<verb>/<child>`: the planned kind, the kind of write, and what is written.
For example `before:Dataset/create/Job/snapshot` or `after:Rollout/apply/ConfigMap`. Outside tests no site is set, and each costs one
comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

Moment = Literal["before", "after"]
KILLED = "killed"


class Site(NamedTuple):
    """One write, as tests name it."""

    kind: str
    verb: str
    child: str

    def __str__(self) -> str:
        return "/".join(self)


def kill() -> None:
    """End this process with SIGKILL, so that no handler runs and no buffer is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Faults:
    """Kills this process at the sites that the settings name.

    Args:
        patterns: shell patterns of `<moment>:<site>`, separated by commas; empty for none.
        log: a file in which each site is recorded as it is passed (`passed before:…`) and before the process is killed there (`killed
            before:…`). With this file a site kills only once, also over restarts. Empty for no record.
        end: ends the process; tests replace it.
    """

    def __init__(self, patterns: str = "", log: str = "", end: Callable[[], None] = kill) -> None:
        self._patterns = tuple(pattern.strip() for pattern in patterns.split(",") if pattern.strip())
        self._log = Path(log) if log else None
        self._end = end
        self._killed = _killed(self._log)

    def before(self, site: Site) -> None:
        """The write is about to be sent."""
        self._pass("before", site)

    def after(self, site: Site) -> None:
        """The write has been answered, and the answer has not been used yet."""
        self._pass("after", site)

    def _pass(self, moment: Moment, site: Site) -> None:
        if not self._patterns and self._log is None:
            return
        name = f"{moment}:{site}"
        self._record(f"passed {name}")
        if name not in self._killed and any(fnmatchcase(name, pattern) for pattern in self._patterns):
            self._record(f"{KILLED} {name}")
            self._end()

    def _record(self, line: str) -> None:
        if self._log is None:
            return
        with self._log.open("a") as stream:
            stream.write(f"{line}\n")
            stream.flush()
            os.fsync(stream.fileno())


def _killed(log: Path | None) -> frozenset[str]:
    """The sites at which an earlier process was killed."""
    if log is None or not log.exists():
        return frozenset()
    lines = (line.split(" ", 1) for line in log.read_text().splitlines())
    return frozenset(name for verb, name in lines if verb == KILLED)
