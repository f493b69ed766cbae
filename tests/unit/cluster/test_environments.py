"""An image's digest says what is in it."""

from __future__ import annotations

from pathlib import Path

from tools.cluster.environments import CodePart, code_digest, read_code


def package(folder: Path, text: str) -> tuple[CodePart, ...]:
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "one.py").write_text(text)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "one.pyc").write_text(str(folder))
    return (CodePart(folder, "package"),)


def test_the_same_code_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    here, there = package(tmp_path / "a", "x = 1"), package(tmp_path / "b", "x = 1")
    assert code_digest(read_code(here)) == code_digest(read_code(there))


def test_another_line_is_another_digest(tmp_path: Path) -> None:
    here, there = package(tmp_path / "a", "x = 1"), package(tmp_path / "b", "x = 2")
    assert code_digest(read_code(here)) != code_digest(read_code(there))


def test_a_single_file_can_be_a_part(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print()")
    assert read_code((CodePart(script, "train.py"),)) == {"train.py": b"print()"}


def test_byte_code_is_left_out(tmp_path: Path) -> None:
    assert sorted(read_code(package(tmp_path / "a", ""))) == ["package/__init__.py", "package/inner/one.py"]
