"""The annotation, read once for every kind."""

from __future__ import annotations

import pytest

from bramble.api.request import Nonsense, Request, read


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ('{"id": "1", "action": "retry"}', Request("1", "retry")),
        ('{"id": "a", "action": "skip", "attempt": 3, "step": 1}', Request("a", "skip", 3, 1)),
        ('{"id": "a", "action": "skip", "attempt": null}', Request("a", "skip")),
    ],
)
def test_requests(text: str, asked: Request) -> None:
    assert read(text) == asked


@pytest.mark.parametrize(
    ("text", "id_", "fragment"),
    [
        ("", None, "not JSON"),
        ("null", None, "not a JSON object"),
        ('{"id": "", "action": "retry"}', None, "1 to 64 characters"),
        (f'{{"id": "{"x" * 65}", "action": "retry"}}', None, "1 to 64 characters"),
        ('{"id": "1", "action": 5}', "1", "action is 5"),
        ('{"id": "1", "action": "skip", "step": true}', "1", "step is True"),
        ('{"id": "1", "action": "skip", "attempt": 1.5}', "1", "attempt is 1.5"),
        ('{"id": "1", "action": "skip", "steps": 1}', "1", "steps is unknown"),
    ],
)
def test_nonsense_is_refused_once(text: str, id_: str | None, fragment: str) -> None:
    found = read(text)
    assert isinstance(found, Nonsense)
    assert fragment in found.problem
    assert found.id == (id_ or read(text).id), "the same nonsense has the same id"
    assert 0 < len(found.id) <= 64


@pytest.mark.parametrize(
    ("request_", "stale"),
    [
        (Request("1", "skip"), False),
        (Request("1", "skip", 3, 1), False),
        (Request("1", "skip", 2), True),
        (Request("1", "skip", 3, 0), True),
    ],
)
def test_stale(request_: Request, stale: bool) -> None:
    assert bool(request_.stale(3, 1)) is stale
