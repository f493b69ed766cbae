"""Keeps what the gateway remembers within a bound."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def drop_oldest(kept: OrderedDict[Key, Value], most: int) -> None:
    """Forget the entries at the beginning until at most `most` are left."""
    while len(kept) > most:
        kept.popitem(last=False)
