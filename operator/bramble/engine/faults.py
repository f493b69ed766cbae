"""Where the operator can be killed: before and after every write it makes.

A site is named `before:<kind>/<verb>/<child>` or `after:…`: the kind planned, what is done, and to what; for example
`before:Dataset/create/Job/snapshot` or `after:Rollout/apply/ConfigMap`. Unset, sites cost one comparison.
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
    """One write as the tests name it."""

    kind: str
    verb: str
    child: str

    def __str__(self) -> str:
        return "/".join(self)


def kill() -> None:
    """End this process as the kernel would: no handler runs, no buffer is written."""
    os.kill(os.getpid(), signal.SIGKILL)


class Faults:
    """Kills this process at the sites that the settings name.

    Args:
        patterns: shell patterns of `<moment>:<site>`, separated by commas; empty: none.
        log: file that each site is recorded in as it is passed (`passed before:…`) and before it kills (`killed
            before:…`). With it, a site that killed once kills no more, in this or in a later process; empty: no record.
        end: how to die.
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
        """The write has been answered, and nothing was made of the answer yet."""
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
    if log is None or not log.exists():
        return frozenset()
    lines = (line.split(" ", 1) for line in log.read_text().splitlines())
    return frozenset(name for verb, name in lines if verb == KILLED)
