"""The settings of the agent, read from environment variables. `docs/edge.md` lists them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from bramble.contracts.report import DISK_RESERVE_BYTES
from bramble_workloads.errors import SpecError

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
DEFAULT_STATE = "/var/lib/bramble"
MAX_PORT = 65535
MAX_WHOLE = 2**63 - 1
"""The largest number that the system takes for a size."""


@dataclass(frozen=True)
class Settings:
    """The settings of one agent process."""

    node: str
    """`BRAMBLE_NODE`: the name of the node, from the downward API (spec.nodeName)."""
    fleet: str
    """`BRAMBLE_FLEET`: the name of the Fleet."""
    board: str
    """`BRAMBLE_BOARD`: the name of this node's board in the Fleet."""
    gateway_url: str
    """`BRAMBLE_GATEWAY_URL`: the URL of the gateway, with its scheme."""
    state: Path = Path(DEFAULT_STATE)
    """`BRAMBLE_STATE`: the folder of slots and blobs. The agent writes to no other folder."""
    host: str = "0.0.0.0"  # noqa: S104  (in a pod these are only the pod's own addresses)
    port: int = 8090
    """`BRAMBLE_LISTEN`: `host:port`, where the API listens."""
    memory_budget: int | None = None
    """`BRAMBLE_MEMORY_BUDGET`: bytes for the agent, all its models and a trial together. May have the unit k, M, G, Ki, Mi or Gi."""
    candidate_ttl: float = 600
    """`BRAMBLE_CANDIDATE_TTL`: a candidate is given up when the gateway has not answered for this many seconds."""
    trial_seconds: float = 120
    """`BRAMBLE_TRIAL_SECONDS`: the time limit of a trial. A trial that takes longer counts as crashed."""
    withdraw_seconds: float = 15
    """`BRAMBLE_WITHDRAW_SECONDS`: how long an assignment must be missing from the gateway's answers before its model is withdrawn.

    A single answer without the assignment may come from a gateway replica whose cache is stale.
    """
    queue: int = 64
    """`BRAMBLE_QUEUE`: how many requests of one model may wait. Further requests are answered with 429."""
    disk_reserve: int = DISK_RESERVE_BYTES
    """`BRAMBLE_DISK_RESERVE`: bytes of the disk that downloads leave free. May have a unit, as the memory budget."""
    memory_folder: Path = Path("/dev/shm")  # noqa: S108  (in a pod it belongs to the pod)
    """`BRAMBLE_MEMORY_FOLDER`: a folder in memory, where the agent notes which models work, so that a crash is charged to the right one."""
    boot_id_file: Path = Path("/proc/sys/kernel/random/boot_id")
    """`BRAMBLE_BOOT_ID_FILE`: a file whose content changes at each boot of the host."""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings from a mapping, by default from the environment of this process.

        Raises:
            SpecError: a variable is missing or has an invalid value. The message names the variable.
        """
        env = os.environ if environment is None else environment
        host, _, port = env.get("BRAMBLE_LISTEN", "0.0.0.0:8090").rpartition(":")
        budget = env.get("BRAMBLE_MEMORY_BUDGET", "")
        return cls(
            node=_required(env, "BRAMBLE_NODE"),
            fleet=_required(env, "BRAMBLE_FLEET"),
            board=_required(env, "BRAMBLE_BOARD"),
            gateway_url=_url("BRAMBLE_GATEWAY_URL", _required(env, "BRAMBLE_GATEWAY_URL")),
            state=Path(env.get("BRAMBLE_STATE", DEFAULT_STATE)),
            host=host.strip("[]"),
            port=_whole("BRAMBLE_LISTEN", port, 1, MAX_PORT, "the port"),
            memory_budget=parse_quantity("BRAMBLE_MEMORY_BUDGET", budget) if budget else None,
            candidate_ttl=_number("BRAMBLE_CANDIDATE_TTL", env.get("BRAMBLE_CANDIDATE_TTL", "600")),
            trial_seconds=_number("BRAMBLE_TRIAL_SECONDS", env.get("BRAMBLE_TRIAL_SECONDS", "120")),
            withdraw_seconds=_number("BRAMBLE_WITHDRAW_SECONDS", env.get("BRAMBLE_WITHDRAW_SECONDS", "15")),
            queue=_whole("BRAMBLE_QUEUE", env.get("BRAMBLE_QUEUE", "64"), 1, MAX_WHOLE),
            disk_reserve=parse_quantity("BRAMBLE_DISK_RESERVE", env.get("BRAMBLE_DISK_RESERVE", str(DISK_RESERVE_BYTES))),
            memory_folder=Path(env.get("BRAMBLE_MEMORY_FOLDER", cls.memory_folder)),
            boot_id_file=Path(env.get("BRAMBLE_BOOT_ID_FILE", cls.boot_id_file)),
        )


def parse_quantity(name: str, text: str) -> int:
    """Parse a Kubernetes quantity of bytes, such as `280Mi`. `name` is the variable, for the error message.

    Raises:
        SpecError: the text is not a quantity, or it is too large.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(k|M|G|Ki|Mi|Gi)?", text.strip(), re.ASCII)
    if found is None:
        raise SpecError(f"{name}={text!r} is not a quantity of bytes: use a number, optionally with the unit k, M, G, Ki, Mi or Gi")
    value = float(found[1]) * UNITS[found[2] or ""]
    if value > MAX_WHOLE:
        raise SpecError(f"{name}={text!r} is too large: use at most {MAX_WHOLE} bytes")
    return int(value)


@contextmanager
def needed_for(name: str, path: Path) -> Iterator[None]:
    """A context manager that turns an OSError of its body into one about the setting `name`, whose value is the path.

    Raises:
        SpecError: the body raised an OSError. The message names the variable, the file, the cause and the user.
    """
    try:
        yield
    except OSError as error:
        file = f" {error.filename}:" if error.filename not in {None, str(path)} else ""
        raise SpecError(f"{name}={path}:{file} {error.strerror}: set a path that user {os.geteuid()} can use") from error


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise SpecError(f"{name} is not set: the DaemonSet of the agent must set it")
    return value


def _url(name: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise SpecError(f"{name}={text!r} is not a URL: use https://<host>:<port>")
    return text.rstrip("/")


def _whole(name: str, text: str, least: int, most: int, what: str = "the value") -> int:
    found = re.fullmatch(r"\d{1,19}", text.strip(), re.ASCII)
    if found is None or not least <= int(found[0]) <= most:
        raise SpecError(f"{name}: {what} is {text!r}: use a whole number from {least} to {most}")
    return int(found[0])


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SpecError(f"{name}={text!r} is not a number") from None
    if not math.isfinite(value):
        raise SpecError(f"{name}={text!r} is not a finite number")
    if value < 0:
        raise SpecError(f"{name}={text!r} is negative: use a number that is 0 or more")
    return value
