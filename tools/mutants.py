"""`make mutants`: how many small faults in the operator's decisions the unit tests notice (mutation testing, by mutmut).

mutmut changes one expression at a time (`<` to `<=`, 1 to 2, an argument to None, …) and runs the tests that reach it. A mutant that no
test fails on *survives*: either a test is missing or the change has no effect. Mutants that only change the wording of a text or what is
logged are not run, because tests do not fix the wording of messages.

    make mutants                                             # all of kinds/, engine/ and guardrails/: hours
    make mutants WHAT="bramble.kinds.rollout.*"              # some modules
    make mutants WHAT=… SAMPLE=300                           # a random sample, the same each time

The result is printed and lies in build/mutants/survivors.txt.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "mutants"
SITE = ROOT / "build" / "mutmut"
VERSION = "3.8.1"
MUTATED = ("bramble/engine/*", "bramble/guardrails/*", "bramble/kinds/*")
TESTS = ("api", "dataset", "engine", "fleet", "guardrails", "jobs", "kinds", "modelversion", "rollout", "trainingrun")
COPIED = {"operator/bramble": "bramble", "workloads/bramble_workloads": "bramble_workloads", "tests": "tests", "tools": "tools"}
CANNOT = (
    "tests/unit/rollout/test_counts.py::test_the_ledger_is_advanced_once_in_a_pass",  # counts calls, and mutmut's are among them
    "tests/unit/kinds/test_generated.py",  # compares with files that the tree does not have
)
"""Tests that cannot run there."""
SURVIVED, KILLED_CODES = 0, {1, 3, 36, 37, 24, 152, 255}
"""mutmut's exit codes: 0 means that every test passed; the others that tests failed, ran out of time or crashed."""
SEED = 7
TEXT = "…"


@dataclass(frozen=True)
class Mutant:
    """One mutant and how its tests ended; `code` is None where it was not run."""

    name: str
    code: int | None
    wording: bool
    difference: str


def prepare() -> None:
    """Copy what is mutated and its tests into a tree in which packages lie at the top, as mutmut wants it.

    Results of an earlier run are kept, so that an interrupted run goes on, unless a file has changed since: mutmut does not run a mutant
    again whose tests have changed.
    """
    stamp, digest = WORK / "digest", _digest()
    if stamp.exists() and stamp.read_text() != digest:
        shutil.rmtree(WORK)
    WORK.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)
    for source, target in COPIED.items():
        shutil.copytree(ROOT / source, WORK / target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    ini = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    selection = [f"tests/unit/{name}" for name in TESTS]
    arguments = ["-p", "no:cacheprovider", "-m", "not cluster and not chaos and not images"]
    arguments += [part for name in CANNOT for part in ("--deselect", name)]
    mutmut = {
        "source_paths": ["bramble"],
        "only_mutate": list(MUTATED),
        "also_copy": ["bramble_workloads", "tools"],
        "pytest_add_cli_args_test_selection": selection,
        "pytest_add_cli_args": arguments,
        "use_git_change_detection": False,
    }
    (WORK / "pyproject.toml").write_text(f"[tool.mutmut]\n{_toml(mutmut)}\n[tool.pytest.ini_options]\n{_toml(ini)}")


def _digest() -> str:
    files = sorted(path for source in COPIED for path in (ROOT / source).rglob("*.py"))
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


def _toml(table: dict[str, object]) -> str:
    """Values here are strings, numbers, booleans and lists of strings, which TOML writes as JSON does."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())


def install() -> None:
    """mutmut and what it needs, beside the environment and not in it."""
    if (SITE / f"mutmut-{VERSION}.dist-info").is_dir():
        return
    print(f"mutants: installing mutmut {VERSION} into {SITE.relative_to(ROOT)}", file=sys.stderr)
    uv = subprocess.run([ROOT / ".ci" / "setup", "--print-uv"], check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()[-1]
    subprocess.run([ROOT / uv, "pip", "install", "--quiet", "--target", SITE, f"mutmut=={VERSION}"], check=True, cwd=ROOT)


def run(names: list[str], children: int) -> int:
    """Run mutmut on these mutants; its output goes to build/mutants/log."""
    environment = {**os.environ, "PYTHONPATH": f"{WORK / 'mutants'}:{SITE}"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children), *names]
    with (WORK / "log").open("wb") as log:
        return subprocess.run(command, cwd=WORK, env=environment, stdout=log, stderr=log, check=False).returncode


def read() -> Iterator[Mutant]:
    """Every mutant that mutmut has made."""
    for meta in sorted((WORK / "mutants" / "bramble").rglob("*.meta")):
        codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        if codes:
            functions = {node.name: node for node in ast.walk(ast.parse(meta.with_suffix("").read_text())) if isinstance(node, _FUNCTION)}
            for name, code in codes.items():
                yield _mutant(name, code, functions)


_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def _mutant(name: str, code: int | None, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> Mutant:
    local = name.rsplit(".", 1)[1]
    original = functions[re.sub(r"__mutmut_\d+$", "__mutmut_orig", local)]
    before, after = (ast.unparse(ast.Module(each.body, [])).splitlines() for each in (original, functions[local]))
    changed = [f"- {old.strip()}\n+ {new.strip()}" for old, new in zip(before, after, strict=False) if old != new]
    return Mutant(name, code, _without_texts(original) == _without_texts(functions[local]), "\n".join(changed[:1]))


class _NoTexts(ast.NodeTransformer):
    """Replaces texts, and drops what is logged."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
                return ast.Pass()
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(TEXT) if isinstance(node.value, str) else node


def _without_texts(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    copied = ast.parse(ast.unparse(ast.Module(function.body, [])))
    return ast.dump(_NoTexts().visit(copied))


def report(mutants: list[Mutant]) -> None:
    """Print the share that was killed, and list the survivors."""
    counted = [each for each in mutants if each.code == SURVIVED or each.code in KILLED_CODES]
    survivors = [each for each in counted if each.code == SURVIVED]
    (WORK / "survivors.txt").write_text("".join(f"{each.name}\n{each.difference}\n\n" for each in survivors))
    killed = len(counted) - len(survivors)
    share = f"{100 * killed / len(counted):.1f} %" if counted else "none ran"
    print(f"mutants: {killed} of {len(counted)} killed ({share})")
    print(f"mutants: {sum(each.code not in (SURVIVED, None) and each.code not in KILLED_CODES for each in mutants)} are reached by no test")
    print(f"mutants: the survivors are in {(WORK / 'survivors.txt').relative_to(ROOT)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="*", default=["*"], metavar="PATTERN", help="mutants by name, such as bramble.kinds.rollout.*")
    parser.add_argument("--sample", type=int, metavar="N", help="run N of them, chosen at random")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one a core)")
    chosen = parser.parse_args()
    install()
    prepare()
    if not any((WORK / "mutants" / "bramble").rglob("*.meta")) or chosen.sample:
        print("mutants: making the mutants", file=sys.stderr)
        run(["bramble.no.such.mutant"], chosen.children)  # makes the mutants of all files and runs none
    wanted = [each for each in read() if not each.wording and any(fnmatch(each.name, pattern) for pattern in chosen.what)]
    if chosen.sample and chosen.sample < len(wanted):
        wanted = random.Random(SEED).sample(wanted, chosen.sample)
    names = sorted(each.name for each in wanted)
    print(f"mutants: running {len(names)}; progress is in {(WORK / 'log').relative_to(ROOT)}", file=sys.stderr)
    code = run(names, chosen.children)
    report([each for each in read() if each.name in set(names)])
    return 0 if code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
