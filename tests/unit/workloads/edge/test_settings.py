"""Settings of the agent, facts about the board, node-setup, and memory limits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.report import BoardFacts
from bramble_workloads.device import board, memory
from bramble_workloads.edge import node_setup
from bramble_workloads.edge.settings import Settings, parse_quantity
from bramble_workloads.errors import SpecError

REQUIRED = {"BRAMBLE_NODE": "pi-1", "BRAMBLE_FLEET": "rooms", "BRAMBLE_BOARD": "rpi5", "BRAMBLE_GATEWAY_URL": "https://gateway:8443/"}


def test_settings_that_are_not_set_have_their_defaults() -> None:
    found = Settings.read(REQUIRED)
    assert (found.gateway_url, found.host, found.port, found.memory_budget) == ("https://gateway:8443", "0.0.0.0", 8090, None)


def test_settings_are_read_from_variables() -> None:
    variables = {
        "BRAMBLE_LISTEN": "[::1]:9000",
        "BRAMBLE_MEMORY_BUDGET": "280Mi",
        "BRAMBLE_CANDIDATE_TTL": "30",
        "BRAMBLE_STATE": "/data",
        "BRAMBLE_QUEUE": "8",
    }
    found = Settings.read(REQUIRED | variables)
    assert (found.host, found.port, found.memory_budget, found.candidate_ttl) == ("::1", 9000, 280 * 2**20, 30.0)
    assert (found.state, found.queue) == (Path("/data"), 8)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("a node that is not set", {"BRAMBLE_NODE": ""}, "BRAMBLE_NODE is not set"),
        ("a port that is not a number", {"BRAMBLE_LISTEN": "0.0.0.0:http"}, "BRAMBLE_LISTEN"),
        ("a budget that is not a quantity", {"BRAMBLE_MEMORY_BUDGET": "lots"}, "BRAMBLE_MEMORY_BUDGET='lots'"),
        ("a port beyond the last", {"BRAMBLE_LISTEN": "0.0.0.0:65536"}, "BRAMBLE_LISTEN: the port is '65536': use .* from 1 to 65535"),
        ("the port 0", {"BRAMBLE_LISTEN": "0.0.0.0:0"}, "BRAMBLE_LISTEN: the port is '0'"),
        ("a negative port", {"BRAMBLE_LISTEN": "0.0.0.0:-1"}, "BRAMBLE_LISTEN: the port is '-1'"),
        ("half a port", {"BRAMBLE_LISTEN": "0.0.0.0:80.5"}, "BRAMBLE_LISTEN: the port is '80.5'"),
        ("no port", {"BRAMBLE_LISTEN": "0.0.0.0:"}, "BRAMBLE_LISTEN: the port is ''"),
        ("a port of another alphabet", {"BRAMBLE_LISTEN": "0.0.0.0:٨٠"}, "BRAMBLE_LISTEN"),
        ("a port of 5000 digits", {"BRAMBLE_LISTEN": "0.0.0.0:" + "1" * 5000}, "BRAMBLE_LISTEN"),
        ("an infinite queue", {"BRAMBLE_QUEUE": "inf"}, "BRAMBLE_QUEUE"),
        ("a queue of none", {"BRAMBLE_QUEUE": "0"}, "BRAMBLE_QUEUE: the value is '0': use a whole number from 1"),
        ("a queue that is no number", {"BRAMBLE_QUEUE": "nan"}, "BRAMBLE_QUEUE"),
        ("a time that is no number", {"BRAMBLE_TRIAL_SECONDS": "nan"}, "BRAMBLE_TRIAL_SECONDS='nan' is not a finite number"),
        ("an infinite time", {"BRAMBLE_WITHDRAW_SECONDS": "1e999"}, "BRAMBLE_WITHDRAW_SECONDS='1e999' is not a finite number"),
        ("a budget that is too large", {"BRAMBLE_MEMORY_BUDGET": "9" * 400}, "BRAMBLE_MEMORY_BUDGET=.* is too large"),
        ("a reserve that is too large", {"BRAMBLE_DISK_RESERVE": "1" + "0" * 12 + "Gi"}, "BRAMBLE_DISK_RESERVE=.* is too large"),
        ("a gateway without a scheme", {"BRAMBLE_GATEWAY_URL": "gateway:8443"}, "BRAMBLE_GATEWAY_URL='gateway:8443' is not a URL"),
        ("a gateway without a host", {"BRAMBLE_GATEWAY_URL": "https://:8443"}, "BRAMBLE_GATEWAY_URL"),
        ("a gateway whose port is too large", {"BRAMBLE_GATEWAY_URL": "https://gateway:84430"}, "BRAMBLE_GATEWAY_URL"),
        ("a gateway that is no address", {"BRAMBLE_GATEWAY_URL": "https://[gateway"}, "BRAMBLE_GATEWAY_URL"),
        ("a time that is negative", {"BRAMBLE_CANDIDATE_TTL": "-1"}, "is negative"),
    ],
)
def test_the_error_names_the_invalid_setting(name: str, changes: dict[str, str], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        print(name, Settings.read(REQUIRED | changes))


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("2k", 2000), ("1.5Gi", 1610612736), ("64Mi", 67108864)])
def test_quantities_are_parsed_into_bytes(text: str, expected: int) -> None:
    assert parse_quantity("x", text) == expected


def test_the_facts_describe_this_machine() -> None:
    found = board.facts()
    assert (found.page_size, found.cores) == (os.sysconf("SC_PAGE_SIZE"), os.cpu_count())
    assert found.cpu
    assert found.memory_bytes > 2**28


def test_the_temperature_is_that_of_the_hottest_readable_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, text in enumerate(["41500\n", "62300\n", "broken"]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    monkeypatch.setattr(board, "THERMAL_FOLDER", tmp_path)
    assert board.temperature() == 62.3
    monkeypatch.setattr(board, "THERMAL_FOLDER", tmp_path / "none")
    assert board.temperature() is None


@pytest.mark.parametrize(("text", "expected"), [("0\n", False), ("4", True), ("50000", False), ("50005", True), ("nonsense", None)])
def test_throttling_is_read_from_the_mask_of_the_firmware(
    text: str, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "get_throttled"
    file.write_text(text)
    monkeypatch.setattr(board, "FIRMWARE_THROTTLED", file)
    assert board.throttled() is expected


def test_the_name_of_a_board_comes_from_its_device_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    monkeypatch.setattr(board, "DEVICE_TREE_MODEL", model)
    assert board.facts().cpu == "Raspberry Pi 5 Model B Rev 1.0"


def test_node_setup_may_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bramble"
    monkeypatch.setenv("BRAMBLE_STATE", str(folder))
    monkeypatch.setenv("BRAMBLE_AGENT_USER", str(os.getuid()))
    assert node_setup.main() == 0
    (folder / "blobs").mkdir()
    assert node_setup.main() == 0
    assert folder.stat().st_mode & 0o777 == 0o750
    assert BoardFacts.model_validate(json.loads((folder / "node.json").read_text())).machine == os.uname().machine


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change the owner of a file")
def test_the_agents_user_becomes_the_owner_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_text("x")
    node_setup.prepare(tmp_path, 65532)
    assert {path.stat().st_uid for path in (tmp_path, *tmp_path.rglob("*"))} == {65532}


def test_an_invalid_user_id_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BRAMBLE_AGENT_USER", "agent")
    assert node_setup.main() == 64
    assert "BRAMBLE_AGENT_USER='agent'" in capsys.readouterr().err


def test_node_setup_names_a_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BRAMBLE_STATE", str(tmp_path / "file" / "bramble"))
    monkeypatch.setenv("BRAMBLE_AGENT_USER", str(os.getuid()))
    assert node_setup.main() == 64
    assert capsys.readouterr().err == (
        f"BRAMBLE_STATE={tmp_path}/file/bramble: Not a directory: set a path that user {os.getuid()} can use\n"
    )


def test_the_memory_limit_of_a_trial_is_the_rest_of_the_budget() -> None:
    used = memory.status_bytes("VmRSS")
    assert used is not None
    limit = memory.trial_limit(used + 50 * 2**20)
    assert limit is not None
    assert 20 * 2**20 < limit <= 80 * 2**20
    assert memory.trial_limit(1) == 0
    assert memory.trial_limit(None) == pytest.approx(memory.available_bytes(), rel=0.2)
