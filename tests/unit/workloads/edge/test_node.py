"""What a node does with the gateway's answers, and with the end of the process before."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bramble.contracts.assignment import assignment_name
from bramble_workloads.device.gateway_client import GatewayClient, Unreadable
from bramble_workloads.edge.assignment.assigned_model import AssignedModel
from bramble_workloads.edge.node import Node
from bramble_workloads.edge.settings import Settings
from bramble_workloads.edge.slots.last_end import WorkLog
from tests.unit.workloads.edge.states import BOARD, BOOT, NODE, V1, assignment

NAME = assignment_name("rooms", "ads", "digits")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "boot_id").write_text(BOOT)
    state, boot = tmp_path / "state", tmp_path / "boot_id"
    return Settings(NODE, "rooms", BOARD, "https://gateway", state=state, memory_folder=tmp_path, boot_id_file=boot)


def new_node(settings: Settings) -> Node:
    return Node(settings, GatewayClient(settings.gateway_url))


async def test_an_assignment_that_cannot_be_read_is_not_missing(settings: Settings) -> None:
    node = new_node(settings)
    await node.apply([assignment()])
    await node.apply([])
    assert node.misses_assignments()
    await node.apply([], [Unreadable(NAME, "of a later release")])
    assert not node.misses_assignments()
    await node.shut_down()


async def test_a_new_fault_of_an_assignment_is_logged_once(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    node = new_node(settings)
    with caplog.at_level(logging.WARNING):
        for fault in ("one", "one", "two"):
            await node.apply([], [Unreadable(NAME, fault)])
    assert [each.getMessage() for each in caplog.records] == [f"{NAME}: one", f"{NAME}: two"]
    await node.shut_down()


async def test_no_blob_is_deleted_while_the_assignment_of_an_unknown_model_cannot_be_read(settings: Settings) -> None:
    node = new_node(Settings(**{**vars(settings), "withdraw_seconds": 0}))
    blob = settings.state / "blobs" / "sha256" / V1.removeprefix("sha256:")
    blob.write_bytes(b"x")
    await node.apply([], [Unreadable(NAME, "of a later release")])
    node._delete_unused_blobs()
    assert blob.exists(), "it may be of the model whose slots are damaged"
    await node.apply([])
    node._delete_unused_blobs()
    assert not blob.exists()
    await node.shut_down()


async def test_who_worked_at_a_crash_is_known_until_it_is_counted_for_each_model(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = f"{NODE}/{settings.state}"
    WorkLog(owner, tmp_path).begin(NAME)
    node = new_node(settings)
    (settings.state / "assignments" / NAME).mkdir()

    def end(*_: object) -> None:
        raise RuntimeError("the process ends")

    with monkeypatch.context() as patched:
        patched.setattr(AssignedModel, "from_folder", end)
        with pytest.raises(RuntimeError, match="the process ends"):
            await node.restore()
    assert WorkLog(owner, tmp_path).found == {NAME}
    await node.restore()
    assert WorkLog(owner, tmp_path).found == frozenset()
    await node.shut_down()
