"""The sizes that house style sets, so that no file grows into a second idea unnoticed."""

import ast
import statistics
import sys
from pathlib import Path

import pytest

from tests.unit.repository import tree

FILE_LINES = 500
MEDIAN_LINES = 180
HANDLER_LINES = 150
FUNCTION_LINES = 80
CONTRACTS_IMPORT = {"pydantic", "pydantic_core", "rfc8785"}


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_files_hold_one_idea() -> None:
    too_long = {tree.relative(path): lines(path) for path in tree.python() if lines(path) > FILE_LINES}
    assert too_long == {}


def test_the_median_file_is_read_in_one_sitting() -> None:
    product = tree.python(tree.PRODUCT)
    if not product:
        pytest.skip("no product code yet")
    assert statistics.median(lines(path) for path in product) <= MEDIAN_LINES


def test_handlers_only_put_keys_in_a_queue() -> None:
    too_long = {tree.relative(path): lines(path) for path in tree.python(("operator/bramble/handlers/",)) if lines(path) > HANDLER_LINES}
    assert too_long == {}


def test_functions_fit_on_a_screen() -> None:
    too_long = [
        f"{tree.relative(path)}:{node.lineno}: {node.name} has {size} lines"
        for path in tree.python()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert too_long == []


def test_operator_is_a_folder_and_no_package() -> None:
    """A package named `operator` would shadow the standard library's."""
    assert not (tree.ROOT / "operator/__init__.py").exists()


def test_the_contracts_import_two_libraries_only() -> None:
    foreign = set()
    for path in tree.python(("operator/bramble/contracts/",)):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), level=0):
                    modules = [module]
                case _:
                    continue
            foreign |= {f"{tree.relative(path)}: {name}" for name in modules if not _allowed(name)}
    assert foreign == set()


def _allowed(module: str) -> bool:
    top = module.split(".", maxsplit=1)[0]
    return top in sys.stdlib_module_names or top in CONTRACTS_IMPORT or module.startswith("bramble.contracts")
