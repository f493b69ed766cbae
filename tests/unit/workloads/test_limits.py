"""What a container may use of its node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bramble_workloads import limits
from bramble_workloads.limits import usable_cores, usable_memory

GIB = 2**30


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of 8 cores and 16 GiB."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 * 2**20}.__getitem__)


def groups(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    """Control groups whose files are `<group>__<name>`, and the file that names the group of this process."""
    for name, content in files.items():
        group, _, file = name.rpartition("__")
        path = folder / "cgroup" / group.replace("_", "/") / file.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    (folder / "own").write_text(own)
    return folder / "cgroup", folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        pytest.param("0::/\n", {}, 8, id="no control group has a limit"),
        pytest.param("0::/\n", {"__cpu_max": "max 100000"}, 8, id="no limit"),
        pytest.param("0::/\n", {"__cpu_max": "250000 100000"}, 3, id="two and a half CPUs"),
        pytest.param("0::/\n", {"__cpu_max": "50000 100000"}, 1, id="half a CPU"),
        pytest.param("0::/\n", {"__cpu_max": "6400000 100000"}, 8, id="a limit above what the node has"),
        pytest.param("0::/pod/it\n", {"pod__cpu_max": "200000 100000", "pod_it__cpu_max": "max 100000"}, 2, id="a limit of the pod"),
        pytest.param("12:cpu:/x\n", {"__cpu_max": "100000 100000"}, 8, id="control groups of version 1 alone"),
    ],
)
def test_cores_are_those_of_the_control_groups(own: str, files: dict[str, str], cores: int, tmp_path: Path) -> None:
    assert usable_cores(*groups(tmp_path, own, **files)) == cores


def test_memory_is_that_of_the_smallest_control_group(tmp_path: Path) -> None:
    files = {"__memory_max": "max", "pod__memory_max": str(4 * GIB), "pod_it__memory_max": str(6 * GIB)}
    assert usable_memory(*groups(tmp_path, "0::/pod/it\n", **files)) == 4 * GIB
    assert usable_memory(*groups(tmp_path, "0::/\n")) == 16 * GIB


def test_this_machine_has_something() -> None:
    assert limits.usable_cores() >= 1
    assert limits.usable_memory() > 0
