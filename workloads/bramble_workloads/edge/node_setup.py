"""Prepares a board for its agent: `python -m bramble_workloads node-setup`. An init container, the only one that may run as root.

It makes the folder of the slots, gives it to the agent's user, and writes down what the board is (`node.json`); the agent reports the
same to the gateway, from where the operator sets labels. Nothing here needs the network.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bramble.contracts.exit_codes import ExitCode
from bramble_workloads.device import board
from bramble_workloads.device.disk import write_durably
from bramble_workloads.edge.settings import DEFAULT_STATE
from bramble_workloads.errors import SpecError, WorkloadError

AGENT_USER = 65532
FOLDER_MODE = 0o750


def main() -> int:
    """Prepare the folder named by `BRAMBLE_STATE` for the user `BRAMBLE_AGENT_USER` (both have defaults); gives the exit code."""
    try:
        prepare(Path(os.environ.get("BRAMBLE_STATE", DEFAULT_STATE)), _user(os.environ.get("BRAMBLE_AGENT_USER", str(AGENT_USER))))
    except WorkloadError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return int(error.code)
    return ExitCode.OK


def prepare(folder: Path, user: int) -> None:
    """Make the folder, give it and what is in it to the user, write `node.json`. Safe to repeat.

    Raises:
        SpecError: this process may not; the message names the right that is missing.
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
    print(f"{folder} belongs to user {user}; {facts.cpu}, {facts.cores} cores, {facts.memory_bytes} bytes, pages of {facts.page_size}")  # noqa: T201


def _user(text: str) -> int:
    if not text.isdecimal():
        raise SpecError(f"BRAMBLE_AGENT_USER={text!r} is no user id: write a number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
