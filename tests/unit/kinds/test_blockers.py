"""How long a kind waits before it looks at a store again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bramble.api.conditions import rfc3339
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kinds.blockers import Blocker, store_blocker, store_wait

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ready(seconds: int, status: str = "False") -> tuple[dict[str, Any], ...]:
    """Ready has been so for this many seconds."""
    return ({"type": "Ready", "status": status, "reason": "x", "lastTransitionTime": rfc3339(NOW - timedelta(seconds=seconds))},)


@pytest.mark.parametrize(
    ("reason", "conditions", "seconds"),
    [
        pytest.param("StoreMissing", (), 5, id="the object has no conditions yet"),
        pytest.param("StoreMissing", ready(10), 5, id="it has just become so"),
        pytest.param("StoreMissing", ready(100), 20, id="a fifth of the time that it has been so"),
        pytest.param("StoreRefused", ready(299), 59.8, id="just under the longest"),
        pytest.param("StoreInvalid", ready(301), 60, id="never more than a minute"),
        pytest.param("StoreMissing", ready(3600, "True"), 5, id="the object was ready until now"),
        pytest.param("StoreUnavailable", ready(3600), 5, id="a store that does not answer is asked soon again"),
    ],
)
def test_wait(reason: str, conditions: tuple[dict[str, Any], ...], seconds: float) -> None:
    assert store_wait(Blocker(reason, ""), conditions, NOW) == timedelta(seconds=seconds)


def test_an_error_of_the_store_has_its_name_as_the_reason() -> None:
    assert store_blocker(StoreUnavailable("no answer")) == Blocker("StoreUnavailable", "no answer")
    assert store_blocker(StoreRefused("no such key")) == Blocker("StoreRefused", "no such key")
