"""Prepares a node for its agent: `python -m bramble_workloads node-setup`. It runs as root in a Job of the Fleet, once for each node.

It creates the agent's folder, makes the agent's user the owner, and writes what the board is to `node.json`. The file is for people who
look at the node; the operator gets the same facts from the agent's reports. It needs no network.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bramble.contracts.exit_codes import ExitCode
from bramble_workloads.device import board
from bramble_workloads.device.disk import write_durably
from bramble_workloads.edge.settings import DEFAULT_STATE, needed_for
from bramble_workloads.errors import SpecError, WorkloadError

AGENT_USER = 65532
FOLDER_MODE = 0o750


def main() -> int:
    """Prepare the folder `BRAMBLE_STATE` for the user id `BRAMBLE_AGENT_USER` and return the exit code. Both variables have defaults."""
    folder = Path(os.environ.get("BRAMBLE_STATE", DEFAULT_STATE))
    try:
        user = _user(os.environ.get("BRAMBLE_AGENT_USER", str(AGENT_USER)))
        with needed_for("BRAMBLE_STATE", folder):
            prepare(folder, user)
    except WorkloadError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return int(error.code)
    return ExitCode.OK


def prepare(folder: Path, user: int) -> None:
    """Create the folder, write `node.json`, and make the user the owner of the folder and all files in it. May be repeated.

    Args:
        folder: the agent's folder on the node.
        user: the user id and group id of the agent.

    Raises:
        SpecError: this process lacks the permissions. The message names the capabilities that it needs.
        OSError: the folder cannot be prepared for another reason.
    """
    facts = board.facts()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        write_durably(folder / "node.json", json.dumps(facts.model_dump(mode="json", by_alias=True, exclude_none=True)).encode())
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != user or path.lstat().st_gid != user:
                os.lchown(path, user, user)
    except PermissionError as error:
        raise SpecError(f"{error.filename}: {error.strerror}: run this container as root with CHOWN, FOWNER and DAC_OVERRIDE") from error
    print(f"{folder} belongs to user {user}; {facts.cpu}, {facts.cores} cores, {facts.memory_bytes} bytes, page size {facts.page_size}")  # noqa: T201


def _user(text: str) -> int:
    if not text.isdecimal():
        raise SpecError(f"BRAMBLE_AGENT_USER={text!r} is not a user id: set it to a number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
