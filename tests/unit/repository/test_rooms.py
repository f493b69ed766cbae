"""Rooms are reached through their catalogue alone, and nothing outside a room names it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from bramble.contracts.runtimes import PRECISIONS, RUNTIMES
from bramble.contracts.sources.catalogue import FORMATS
from bramble.contracts.tasks.catalogue import TASKS
from tests.unit.repository import tree


class Rooms(NamedTuple):
    """One kind of rooms: the package they lie in, and the modules of it that everybody may import."""

    package: str
    shared: frozenset[str]


KINDS = (
    Rooms("bramble.contracts.tasks", frozenset({"base", "catalogue"})),
    Rooms("bramble_workloads.tasks", frozenset({"base", "catalogue", "objective"})),
    Rooms("bramble.contracts.sources", frozenset({"base", "catalogue"})),
    Rooms("bramble_workloads.snapshot.sources", frozenset({"base", "catalogue"})),
    Rooms("bramble_workloads.sidecar.trackers", frozenset({"base", "catalogue"})),
)


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    return tree.relative(path).partition("/")[2].removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """The whole syntax tree of a file."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in nodes(path):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def room_of(module: str, rooms: Rooms) -> str | None:
    """The name of the room that a module belongs to; None outside the rooms."""
    name = module.removeprefix(f"{rooms.package}.").partition(".")[0]
    return None if module == rooms.package or not module.startswith(f"{rooms.package}.") or name in rooms.shared else name


def rooms_named_like(module: str) -> set[str]:
    """The rooms that a module lies in: the halves of one task have the same name."""
    return {name for rooms in KINDS if (name := room_of(module, rooms)) is not None}


@pytest.mark.parametrize("rooms", KINDS, ids=lambda rooms: rooms.package)
def test_a_room_is_imported_by_its_catalogue_and_by_itself_alone(rooms: Rooms) -> None:
    found = set()
    for path in tree.python(tree.PRODUCT):
        importer = module_of(path)
        for module in imports(path):
            room = room_of(module, rooms)
            if room is not None and importer != f"{rooms.package}.catalogue" and room not in rooms_named_like(importer):
                found.add(f"{importer} imports {module}")
    assert sorted(found) == []


def named(names: set[str], outside: Callable[[str], bool]) -> list[str]:
    """Where the product's modules outside a room have one of these strings."""
    return [
        f"{tree.relative(path)}:{node.lineno}: {node.value!r}"
        for path in tree.python(tree.PRODUCT)
        if outside(module_of(path))
        for node in nodes(path)
        if isinstance(node, ast.Constant) and node.value in names
    ]


def test_no_code_outside_a_task_names_it() -> None:
    assert named({task.name for task in TASKS}, lambda module: not rooms_named_like(module)) == []


def test_no_code_outside_a_source_format_names_it() -> None:
    assert named({each.format for each in FORMATS}, lambda module: not rooms_named_like(module)) == []


def test_no_code_outside_a_runtime_names_it_or_its_precisions() -> None:
    names = {name for runtime in RUNTIMES for name in (runtime.format, runtime.runtime)} | {
        each.name for each in PRECISIONS if each.calibrated
    }
    assert named(names, lambda module: ".runtimes" not in module) == []
