"""What a person sees while the demo runs: a live page in a terminal, a line a change elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.digits.demo.report import Report, Stage

MARKS = {"waiting": "[dim]·[/]", "running": "[bold cyan]▶[/]", "done": "[bold green]✓[/]", "failed": "[bold red]✗[/]"}
COLOURS = ("grey50", "green3", "dodger_blue1", "orange1", "magenta")


@dataclass
class Board:
    """One device as its clients see it."""

    version: str = ""
    canary: bool = False
    answered: int = 0
    right: int = 0

    @property
    def accuracy(self) -> float | None:
        return self.right / self.answered if self.answered else None


@dataclass(frozen=True)
class Evidence:
    """A guardrail on the screen: its verdict, how far the evidence has come on the way to an undo and to a pass (0 to 1), its message."""

    metric: str
    verdict: str
    to_fail: float
    to_pass: float
    numbers: str


@dataclass
class View:
    """All that the screen shows; stages write here and nowhere else."""

    activity: str = ""
    share: float | None = None
    """Of the running activity that is done, 0 to 1; None where nobody can know."""
    boards: dict[str, Board] = field(default_factory=dict)
    phase: str = ""
    guardrails: list[Evidence] = field(default_factory=list)


def colour(version: str) -> str:
    """The same colour for the same major version everywhere on the screen."""
    major = version.split(".", maxsplit=1)[0]
    return COLOURS[int(major) % len(COLOURS)] if major.isdigit() else COLOURS[0]


def stages_table(report: Report) -> Table:
    """A row a stage: mark, title, what is worth knowing, seconds."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="ellipsis", no_wrap=True, style="dim")
    table.add_column(justify="right", width=7)
    for stage in report.stages:
        seconds = f"{stage.seconds:.1f} s" if stage.state in ("done", "failed") else ""
        table.add_row(MARKS[stage.state], f"[bold]{stage.title}[/]" if stage.state == "running" else stage.title, stage.note, seconds)
    return table


def fleet_row(view: View) -> Table:
    """A box a board: its name, the version it answers with, how often it is right."""
    row = Table.grid(padding=(0, 1))
    cells: list[RenderableType] = []
    for name in sorted(view.boards):
        board = view.boards[name]
        row.add_column(width=24)
        tint = colour(board.version)
        accuracy = "" if board.accuracy is None else f"{board.accuracy:.0%} right of {board.answered}"
        body = Text.assemble(
            (board.version or "no model", f"bold {tint}"), ("  canary" if board.canary else "", "yellow"), "\n", (accuracy, "dim")
        )
        cells.append(Panel(body, title=name, border_style=tint, padding=(0, 1)))
    row.add_row(*cells)
    return row


def guardrails_table(view: View) -> Table:
    """A row a guardrail: how far its evidence has come, and the numbers that the verdict is made from."""
    table = Table.grid(padding=(0, 2))
    for seen in view.guardrails:
        tint = {"Pass": "green", "Fail": "bold red"}.get(seen.verdict, "yellow")
        shares = f"undo {seen.to_fail:4.0%}  pass {seen.to_pass:4.0%}"
        table.add_row(f"  {seen.metric}", f"[{tint}]{seen.verdict}[/]", shares, f"[dim]{seen.numbers}[/]")
    return table


class Page:
    """The live page as a renderable, so that a picture of it can be taken."""

    def __init__(self, report: Report, view: View) -> None:
        self.report, self.view, self.began = report, view, time.monotonic()

    def __rich__(self) -> RenderableType:
        seconds = int(time.monotonic() - self.began)
        parts: list[RenderableType] = [stages_table(self.report)]
        if self.view.activity:
            line = Table.grid(padding=(0, 1))
            bar = ProgressBar(total=1.0, completed=self.view.share, width=28) if self.view.share is not None else Text("…", style="cyan")
            line.add_row("  ", bar, Text(self.view.activity, overflow="ellipsis", no_wrap=True))
            parts += ["", line]
        if self.view.boards:
            parts += ["", fleet_row(self.view)]
        if self.view.guardrails:
            parts += [Text(f"  {self.view.phase}", style="bold"), guardrails_table(self.view)]
        title = "[bold]Bramble[/] · from the GPU to the Pi, and back"
        return Panel(Group(*parts), title=title, subtitle=f"{seconds // 60}:{seconds % 60:02d}", padding=(1, 2))


class Screen:
    """Shows the page while the demo runs. Without a terminal: a line whenever a stage or an activity changes."""

    def __init__(self, report: Report, view: View, console: Console | None = None) -> None:
        self.console = console or Console()
        self.page = Page(report, view)
        self._live = Live(self.page, console=self.console, refresh_per_second=5) if self.console.is_terminal else None
        self._said: dict[str, str] = {}

    def refresh(self) -> None:
        """Called by stages whenever something they show has changed; cheap."""
        if self._live is None:
            for stage in self.page.report.stages:
                self._say(stage)

    def _say(self, stage: Stage) -> None:
        line: str = stage.state
        if stage.state == "running":
            line = f"{stage.state} {self.page.view.activity}"
        elif stage.state in ("done", "failed"):
            line = f"{stage.state} in {stage.seconds:.1f} s {stage.note}"
        if stage.state != "waiting" and self._said.get(stage.name) != line:
            self._said[stage.name] = line
            seconds = time.monotonic() - self.page.began
            sys.stdout.write(f"[{seconds:6.1f} s] {stage.title}: {line}\n")
            sys.stdout.flush()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refresh()
        if self._live is not None:
            self._live.stop()
