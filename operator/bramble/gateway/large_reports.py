"""Parses and encodes a report in turns, so that a large one does not keep all other devices waiting.

pydantic takes some 20 µs for a KiB and holds the interpreter meanwhile, so a thread would not help. What makes a report large are two
lists, whose items are small; other calls have their turn between them.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import nullcontext
from json import JSONDecodeError, JSONDecoder
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from bramble.contracts.base import ExtensibleDocument
from bramble.contracts.counters import Counters
from bramble.contracts.report import MAX_REPORT_BYTES, Report, Running
from bramble.contracts.untrusted import check_size, parse_untrusted, validate_untrusted
from bramble.gateway.refusals import Invalid

AT_ONCE_BYTES = 64 * 1024
"""A report of up to so many bytes is parsed at once. One of a device with a few models has less than 20 KiB."""

TURN_SECONDS = 0.0005
"""After so much time others have a turn."""

MOST_FIELDS = 64
"""A report with more fields is refused: this release knows fourteen, and each costs a few microseconds, however short it is."""

LISTS: dict[str, type[ExtensibleDocument]] = {"counters": Counters, "running": Running}

_DECODER, _SPACE = JSONDecoder(), re.compile(r"[ \t\n\r]*")


class IncomingReports:
    """Parses and encodes the reports that arrive, of the large ones one at a time.

    A large report takes 4 MiB while it is parsed, and many that take turns with one another leave few turns to others.
    """

    def __init__(self) -> None:
        self._large = asyncio.Lock()

    async def take(self, content: bytes) -> tuple[Report, bytes]:
        """Parse a report. Returns it, and its JSON as the operator reads it.

        Raises:
            Invalid: as for `parse_report` and `encode_report`.
        """
        async with self._large if len(content) > AT_ONCE_BYTES else nullcontext():
            report = await parse_report(content)
            return report, await encode_report(report, in_turns=len(content) > AT_ONCE_BYTES)


async def parse_report(content: bytes) -> Report:
    """Parse a report.

    Raises:
        Invalid: it is no JSON, or breaks the contract; the message says where.
    """
    try:
        if len(content) <= AT_ONCE_BYTES:
            return parse_untrusted(Report, content, AT_ONCE_BYTES)
        check_size(Report, content, MAX_REPORT_BYTES)  # takes a turn of its own
        await asyncio.sleep(0)
        return validate_untrusted(Report, await _parse_object(content.decode()))
    except ValidationError as error:
        raise Invalid.of(error) from error
    except (ValueError, IndexError, RecursionError) as error:
        raise Invalid(f"body: Invalid JSON: {error}") from error


async def _parse_object(text: str) -> dict[str, Any]:
    """The fields of a report, of which the items of `LISTS` are parsed already.

    Raises:
        Invalid: an item breaks the contract.
        ValueError, IndexError, RecursionError: it is no JSON object.
    """
    document, turn, at, fields = dict[str, Any](), _Turn(), _after(text, 0, "{"), 0
    while text[at] != "}":
        if (fields := fields + 1) > MOST_FIELDS:
            raise JSONDecodeError(f"expected at most {MOST_FIELDS} fields", text, at)
        name, at = _name(text, at)
        if (kind := LISTS.get(name)) is None or text[at] != "[":
            document[name], at = _DECODER.raw_decode(text, at)
        else:
            document[name], at = list[Any](), _after(text, at, "[")
            while text[at] != "]":
                item, at = _DECODER.raw_decode(text, at)
                try:
                    document[name].append(validate_untrusted(kind, item))
                except ValidationError as error:
                    raise Invalid.of(error, name, len(document[name])) from error
                at = _next(text, at, "]")
                await turn.over()
            at += 1
        await turn.over()
        at = _next(text, at, "}")
    if _skip(text, at + 1) < len(text):
        raise JSONDecodeError("expected the end", text, at + 1)
    return document


async def encode_report(report: Report, *, in_turns: bool) -> bytes:
    """The JSON of a report as the operator reads it.

    Args:
        in_turns: whether it is a large one.

    Raises:
        Invalid: a text in it cannot be encoded. Python's parser of JSON takes half of a surrogate pair, and pydantic's does not.
    """
    try:
        return await _encode_in_turns(report) if in_turns else _json(report)
    except PydanticSerializationError as error:
        raise Invalid(f"body: {error}") from error


async def _encode_in_turns(report: Report) -> bytes:
    turn, lists = _Turn(), dict[str, bytes]()
    for name in LISTS:
        items = list[bytes]()
        for item in getattr(report, name):
            items.append(_json(item))
            await turn.over()
        if items:
            lists[name] = b'"%b":[%b]' % (name.encode(), b",".join(items))
    rest = _json(report.model_copy(update=dict.fromkeys(LISTS, ())))
    return b",".join((rest[:-1], *lists.values())) + b"}"


def _json(document: ExtensibleDocument) -> bytes:
    return document.model_dump_json(by_alias=True, exclude_defaults=True).encode()


class _Turn:
    """The time since others had a turn. Processor time would be exact, but asking for it is a system call, at which a busy machine gives
    the processor to another process.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()

    async def over(self) -> None:
        """Let others have a turn if this one has lasted long enough."""
        if time.monotonic() - self._began > TURN_SECONDS:
            await asyncio.sleep(0)
            self._began = time.monotonic()


def _skip(text: str, at: int) -> int:
    """The place of the next character that is no white space."""
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


def _name(text: str, at: int) -> tuple[str, int]:
    """The name of a field, and the place of its value."""
    name, at = _DECODER.raw_decode(text, at)
    if not isinstance(name, str):
        raise JSONDecodeError("expected the name of a field", text, at)
    return name, _after(text, at, ":")


def _after(text: str, at: int, character: str) -> int:
    """The place behind this character and white space."""
    at = _skip(text, at)
    if text[at] != character:
        raise JSONDecodeError(f"expected {character!r}", text, at)
    return _skip(text, at + 1)


def _next(text: str, at: int, end: str) -> int:
    """The place of the next item, or of the end of the list or object."""
    at = _skip(text, at)
    if text[at] == end:
        return at
    at = _after(text, at, ",")
    if text[at] == end:
        raise JSONDecodeError("expected another item", text, at)
    return at
