"""The generated files are what the models say; CI has no other way to notice a forgotten `make crds`."""

from pathlib import Path

from bramble.api import crd


def test_generated_files_are_up_to_date() -> None:
    assert crd.stale() == []


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    for path, text in crd.files():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert crd.stale(tmp_path) == []
    changed = tmp_path / "crds/bramble.dev_fleets.yaml"
    changed.write_text(changed.read_text().replace("board", "bored"))
    assert crd.stale(tmp_path) == ["crds/bramble.dev_fleets.yaml"]
