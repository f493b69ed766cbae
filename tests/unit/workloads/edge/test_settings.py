"""Settings, what the board is, and its preparation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.report import BoardFacts
from bramble_workloads.device import board, memory
from bramble_workloads.edge import node_setup
from bramble_workloads.edge.settings import Settings, quantity
from bramble_workloads.errors import SpecError

WHOLE = {"BRAMBLE_NODE": "pi-1", "BRAMBLE_FLEET": "rooms", "BRAMBLE_BOARD": "rpi5", "BRAMBLE_GATEWAY_URL": "https://gateway:8443/"}


def test_defaults() -> None:
    found = Settings.read(WHOLE)
    assert (found.gateway_url, found.host, found.port, found.memory_budget) == ("https://gateway:8443", "0.0.0.0", 8090, None)


def test_everything_said() -> None:
    said = {
        "BRAMBLE_LISTEN": "[::1]:9000",
        "BRAMBLE_MEMORY_BUDGET": "280Mi",
        "BRAMBLE_CANDIDATE_TTL": "30",
        "BRAMBLE_STATE": "/data",
        "BRAMBLE_QUEUE": "8",
    }
    found = Settings.read(WHOLE | said)
    assert (found.host, found.port, found.memory_budget, found.candidate_ttl) == ("::1", 9000, 280 * 2**20, 30.0)
    assert (found.state, found.queue) == (Path("/data"), 8)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("a missing node", {"BRAMBLE_NODE": ""}, "BRAMBLE_NODE is not set"),
        ("a port that is none", {"BRAMBLE_LISTEN": "0.0.0.0:http"}, "BRAMBLE_LISTEN"),
        ("a budget that is none", {"BRAMBLE_MEMORY_BUDGET": "lots"}, "BRAMBLE_MEMORY_BUDGET='lots'"),
        ("a negative time", {"BRAMBLE_CANDIDATE_TTL": "-1"}, "cannot be negative"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, changes: dict[str, str], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        print(name, Settings.read(WHOLE | changes))


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("2k", 2000), ("1.5Gi", 1610612736), ("64Mi", 67108864)])
def test_quantities(text: str, expected: int) -> None:
    assert quantity("x", text) == expected


def test_facts_are_of_this_machine() -> None:
    found = board.facts()
    assert (found.page_size, found.cores) == (os.sysconf("SC_PAGE_SIZE"), os.cpu_count())
    assert found.cpu
    assert found.memory_bytes > 2**28


def test_the_hottest_zone_counts_and_a_broken_one_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, text in enumerate(["41500\n", "62300\n", "broken"]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    monkeypatch.setattr(board, "THERMAL", tmp_path)
    assert board.temperature() == 62.3
    monkeypatch.setattr(board, "THERMAL", tmp_path / "none")
    assert board.temperature() is None


@pytest.mark.parametrize(("text", "expected"), [("0\n", False), ("4", True), ("50000", False), ("50005", True), ("nonsense", None)])
def test_throttling_is_read_from_the_firmwares_mask(text: str, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "get_throttled"
    file.write_text(text)
    monkeypatch.setattr(board, "FIRMWARE_THROTTLED", file)
    assert board.throttled() is expected


def test_a_board_with_a_device_tree_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(board, "DEVICE_TREE_MODEL", model)
    assert board.facts().cpu == "Raspberry Pi 5 Model B Rev 1.0"


def test_a_nodes_folder_is_prepared_and_that_may_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bramble"
    monkeypatch.setenv("BRAMBLE_STATE", str(folder))
    monkeypatch.setenv("BRAMBLE_AGENT_USER", str(os.getuid()))
    assert node_setup.main() == 0
    (folder / "blobs").mkdir()
    assert node_setup.main() == 0
    assert folder.stat().st_mode & 0o777 == 0o750
    assert BoardFacts.model_validate(json.loads((folder / "node.json").read_text())).machine == os.uname().machine


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_what_is_in_the_folder_is_given_to_the_agent(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_text("x")
    node_setup.prepare(tmp_path, 65532)
    assert {path.stat().st_uid for path in (tmp_path, *tmp_path.rglob("*"))} == {65532}


def test_a_user_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BRAMBLE_AGENT_USER", "agent")
    assert node_setup.main() == 64
    assert "BRAMBLE_AGENT_USER='agent'" in capsys.readouterr().err


def test_room_is_what_the_budget_leaves() -> None:
    used = memory.status_bytes("VmRSS")
    assert used is not None
    room = memory.room(used + 50 * 2**20)
    assert room is not None
    assert 20 * 2**20 < room <= 80 * 2**20
    assert memory.room(1) == 0
    assert memory.room(None) == pytest.approx(memory.available_bytes(), rel=0.2)
