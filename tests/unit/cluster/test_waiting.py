"""How often a condition is asked."""

from __future__ import annotations

import pytest

from tools.cluster import waiting


class Clock:
    """Seconds that pass only where they are spent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 3))
        self.now += seconds


@pytest.mark.parametrize(
    ("takes", "pause"),
    [
        pytest.param(0.0, 0.05, id="what costs nothing is asked at every interval"),
        pytest.param(0.2, 0.4, id="kubectl, a third of the time"),
        pytest.param(3.0, 1.0, id="on a busy machine, after a second"),
    ],
)
def test_an_expensive_condition_is_asked_less_often(takes: float, pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)

    def third() -> bool:
        clock.now += takes
        return len(clock.pauses) == 2

    assert waiting.wait(third, 60, "never")
    assert clock.pauses == [pause, pause]
