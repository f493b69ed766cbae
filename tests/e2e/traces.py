"""What a cluster could leave behind on its host."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

from tools.cluster.commands import search_path
from tools.cluster.state import State

MOVING = (
    "random",
    "ns_last_pid",
    "-nr",
    "dentry-state",
    "inode-state",
    "nf_conntrack_count",
    "pty/nr",
    "fs/quota/",  # how often quotas were read and written
    "sched_domain",
    "cad_pid",
    "hostname",
    "perf_event_max_sample_rate",
)
"""Kernel settings that change by themselves."""
FOLDERS = ("/etc", "/run", "/usr/libexec", "/var/lib", "/var/log", "/opt", "/dev/shm", "/sys/fs/cgroup")
DEPTH = 3
"""Levels below each folder that are compared: components make folders near the top."""


@dataclass(frozen=True)
class Traces:
    """The host, as far as a cluster could change it."""

    settings: dict[str, str]
    paths: frozenset[str]
    mounts: frozenset[str]
    links: str
    routes: str
    firewall: str
    home: frozenset[str]

    @classmethod
    def take(cls) -> Traces:
        return cls(
            settings=_settings(),
            paths=frozenset(path for folder in FOLDERS for path in _paths(folder)),
            mounts=frozenset(line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
            links=_output("ip", "-brief", "link"),
            routes=_output("ip", "route", "show", "table", "all") + _output("ip", "rule"),
            firewall=_output("nft", "list", "ruleset"),
            home=frozenset(entry.name for entry in Path.home().iterdir()),
        )

    def differences(self, after: Traces) -> dict[str, object]:
        """What is not as it was, by field."""
        found: dict[str, object] = {}
        for each in fields(self):
            one, other = getattr(self, each.name), getattr(after, each.name)
            if one == other:
                continue
            if isinstance(one, dict):
                found[each.name] = {
                    key: (one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)
                }
            elif isinstance(one, frozenset):
                found[each.name] = sorted(one ^ other)
            else:
                found[each.name] = (one, other)
        return found


def _settings() -> dict[str, str]:
    found = {}
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = f"{folder}/{name}"
            if not any(part in path for part in MOVING):
                with contextlib.suppress(OSError, UnicodeDecodeError):  # write-only, or not text
                    found[path] = Path(path).read_text()
    return found


def _paths(folder: str) -> list[str]:
    base = folder.count("/")
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _in_use(Path(place, name))]
        found += [f"{place}/{name}" for name in (*folders, *names)]
        if place.count("/") - base >= DEPTH - 1:
            folders.clear()
    return found


def _in_use(cgroup: Path) -> bool:
    """A control group with processes in it is somebody else's: a cluster that has ended has none."""
    try:
        return bool((cgroup / "cgroup.procs").read_text().strip())
    except OSError:
        return False


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": search_path()}).stdout


@dataclass(frozen=True)
class Footprint:
    """Processes and namespaces of one running cluster."""

    processes: frozenset[int]
    namespaces: frozenset[str]

    @classmethod
    def of(cls, state: State) -> Footprint:
        """Everything in a network or PID namespace that a process of the cluster is in, and not this process's."""
        own = _namespaces(Path("/proc/self"))
        members = {
            process: spaces
            for process in Path("/proc").glob("[0-9]*")
            if (spaces := _namespaces(process)) and str(state.folder) in _command_line(process)
        }
        namespaces = frozenset(space for spaces in members.values() for space in spaces) - own
        return cls(frozenset(_processes_in(namespaces)), namespaces)

    def remains(self) -> list[str]:
        """Processes that are still in one of the namespaces; without processes, mounts and relays the kernel removes those."""
        return [f"{process}: {_command_line(Path('/proc') / str(process))}" for process in _processes_in(self.namespaces)]


def _processes_in(namespaces: frozenset[str]) -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _namespaces(process) & namespaces]


def _namespaces(process: Path) -> frozenset[str]:
    try:
        return frozenset(str((process / "ns" / kind).readlink()) for kind in ("net", "pid", "mnt"))
    except OSError:  # ended
        return frozenset()


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # ended
        return ""
