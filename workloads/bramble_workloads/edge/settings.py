"""How an agent is told what it is: environment variables, typed once. `docs/edge.md` describes each."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bramble_workloads.errors import SpecError

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
DEFAULT_STATE = "/var/lib/bramble"


@dataclass(frozen=True)
class Settings:
    """Of one agent process."""

    node: str
    """`BRAMBLE_NODE`, from the downward API (spec.nodeName)."""
    fleet: str
    """`BRAMBLE_FLEET`."""
    board: str
    """`BRAMBLE_BOARD`: which of the fleet's boards this node is."""
    gateway_url: str
    """`BRAMBLE_GATEWAY_URL`, with scheme."""
    state: Path = Path(DEFAULT_STATE)
    """`BRAMBLE_STATE`: slots and blobs; the one folder that is written."""
    host: str = "0.0.0.0"  # noqa: S104  (the pod's own address is all there is)
    port: int = 8090
    """`BRAMBLE_LISTEN`, as `host:port`."""
    memory_budget: int | None = None
    """`BRAMBLE_MEMORY_BUDGET`: bytes, or with k, M, G, Ki, Mi, Gi; for all models of the node together, the agent itself included."""
    candidate_ttl: float = 600
    """`BRAMBLE_CANDIDATE_TTL`: seconds without a word from the gateway after which a candidate is given up."""
    trial_seconds: float = 120
    """`BRAMBLE_TRIAL_SECONDS`: how long a trial in the child process may take; past it counts as a death."""
    withdraw_seconds: float = 15
    """`BRAMBLE_WITHDRAW_SECONDS`: how long an assignment must stay absent from the gateway's answers before its model is dropped.

    One answer without it may come from a gateway replica whose cache is behind; a model that stops serving is the greater harm.
    """
    queue: int = 64
    """`BRAMBLE_QUEUE`: requests of one model that may wait; the next one is told 429."""
    disk_reserve: int = 64 * 2**20
    """`BRAMBLE_DISK_RESERVE`: bytes of the disk that downloads leave free."""
    boot_id_file: Path = Path("/proc/sys/kernel/random/boot_id")
    """`BRAMBLE_BOOT_ID_FILE`: new with each boot of the host."""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Settings from the environment.

        Raises:
            SpecError: a variable is missing or cannot be read; the message names it.
        """
        env = os.environ if environment is None else environment
        host, _, port = env.get("BRAMBLE_LISTEN", "0.0.0.0:8090").rpartition(":")
        budget = env.get("BRAMBLE_MEMORY_BUDGET", "")
        return cls(
            node=_required(env, "BRAMBLE_NODE"),
            fleet=_required(env, "BRAMBLE_FLEET"),
            board=_required(env, "BRAMBLE_BOARD"),
            gateway_url=_required(env, "BRAMBLE_GATEWAY_URL").rstrip("/"),
            state=Path(env.get("BRAMBLE_STATE", DEFAULT_STATE)),
            host=host.strip("[]"),
            port=int(_number("BRAMBLE_LISTEN", port)),
            memory_budget=quantity("BRAMBLE_MEMORY_BUDGET", budget) if budget else None,
            candidate_ttl=_number("BRAMBLE_CANDIDATE_TTL", env.get("BRAMBLE_CANDIDATE_TTL", "600")),
            trial_seconds=_number("BRAMBLE_TRIAL_SECONDS", env.get("BRAMBLE_TRIAL_SECONDS", "120")),
            withdraw_seconds=_number("BRAMBLE_WITHDRAW_SECONDS", env.get("BRAMBLE_WITHDRAW_SECONDS", "15")),
            queue=int(_number("BRAMBLE_QUEUE", env.get("BRAMBLE_QUEUE", "64"))),
            disk_reserve=quantity("BRAMBLE_DISK_RESERVE", env.get("BRAMBLE_DISK_RESERVE", "64Mi")),
            boot_id_file=Path(env.get("BRAMBLE_BOOT_ID_FILE", cls.boot_id_file)),
        )


def quantity(name: str, text: str) -> int:
    """Bytes from a Kubernetes quantity such as `280Mi`.

    Raises:
        SpecError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(k|M|G|Ki|Mi|Gi)?", text.strip())
    if found is None:
        raise SpecError(f"{name}={text!r} is no quantity of bytes: write a number with k, M, G, Ki, Mi, Gi or nothing behind it")
    return int(float(found[1]) * UNITS[found[2] or ""])


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise SpecError(f"{name} is not set: the agent's DaemonSet must set it")
    return value


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SpecError(f"{name} holds {text!r}, which is not a number") from None
    if value < 0:
        raise SpecError(f"{name} holds {text!r}: it cannot be negative")
    return value
