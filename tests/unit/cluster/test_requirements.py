"""What is missing is said at once, with the command that mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.cluster import MissingRequirement, Shape, requirements


def test_missing_packages_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"nft", "bwrap"}
    monkeypatch.setattr("shutil.which", lambda command, **_: None if command in missing else f"/usr/bin/{command}")
    with pytest.raises(MissingRequirement, match="apt-get install --yes --no-install-recommends bubblewrap nftables"):
        requirements.check(Shape())


def test_a_user_who_is_not_root_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingRequirement, match="sudo -E"):
        requirements.check(Shape())


@pytest.mark.parametrize(("limit", "used", "boards", "fix"), [(128, 0, 4, None), (128, 0, 30, 256), (128, 100, 4, 256), (512, 0, 30, None)])
def test_more_nodes_than_inotify_instances_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, used: int, boards: int, fix: int | None
) -> None:
    file = tmp_path / "max_user_instances"
    file.write_text(f"{limit}\n")
    monkeypatch.setattr(requirements, "INOTIFY_LIMIT", file)
    monkeypatch.setattr(requirements, "_inotify_in_use", lambda: used)
    problems = requirements._inotify(Shape.of(boards=boards))
    if fix is None:
        assert problems == []
    else:
        assert problems[0].endswith(f"sysctl -w fs.inotify.max_user_instances={fix}")
