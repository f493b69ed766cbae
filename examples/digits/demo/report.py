"""What the demo leaves behind: `build/demo/report.json`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "running", "done", "failed"]


@dataclass
class Stage:
    """One step of the way; `facts` are digests, metrics and decisions worth keeping."""

    name: str
    title: str
    state: State = "waiting"
    seconds: float = 0.0
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """The stages in order, and whether all that was promised happened."""

    stages: list[Stage]
    ok: bool = False
    reduced: dict[str, Any] = field(default_factory=dict)
    """What is smaller in the demo than by default, and how much."""
    error: str = ""
    seconds: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time one stage; an exception marks it failed, is the report's error, and goes on."""
        stage = next(stage for stage in self.stages if stage.name == name)
        stage.state, began = "running", time.monotonic()
        try:
            yield stage
        except BaseException as error:
            stage.state, self.error = "failed", f"{type(error).__name__}: {error}"
            raise
        else:
            stage.state = "done"
        finally:
            stage.seconds = round(time.monotonic() - began, 2)

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        partial.replace(path)
