"""A large report is taken in turns, and says the same as one that is parsed at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bramble.contracts.report import MAX_COUNTERS, MAX_REPORT_BYTES, LeftOut, Report, Running
from bramble.gateway import large_reports
from bramble.gateway.large_reports import AT_ONCE_BYTES, IncomingReports, encode_report, parse_report
from bramble.gateway.refusals import Invalid
from tests.unit.gateway.test_reports import DIGEST, report

LARGE = report().model_copy(update={"counters": report().counters * 200, "running": report().running * 60, "left_out": LeftOut(counters=3)})
CONTENT = LARGE.model_dump_json(by_alias=True).encode()


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(CONTENT), **fields}).encode()


async def test_a_large_report_says_the_same_as_one_that_is_parsed_at_once() -> None:
    assert len(CONTENT) > AT_ONCE_BYTES
    for content in (CONTENT, b" \n" + json.dumps(json.loads(CONTENT), indent=2).encode() + b"\n"):
        assert await parse_report(content) == LARGE == Report.model_validate_json(content)
    for each in (LARGE, report(), report().model_copy(update={"counters": ()})):
        for in_turns in (True, False):
            encoded = await encode_report(each, in_turns=in_turns)
            assert json.loads(encoded) == json.loads(each.model_dump_json(by_alias=True, exclude_defaults=True))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(changed(counters=[*json.loads(CONTENT)["counters"], {"namespace": "ads"}]), id="a line lacks its fields"),
        pytest.param(changed(running=[json.loads(CONTENT)["running"][0] | {"active": "x"}]), id="a digest is none"),
        pytest.param(changed(counters=json.loads(CONTENT)["counters"] * 2), id="too many lines"),
        pytest.param(changed(counters=[], other="x" * AT_ONCE_BYTES, sequence=-1), id="a number is out of bounds"),
    ],
)
async def test_what_breaks_the_contract_is_refused_in_the_same_words(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(content) > AT_ONCE_BYTES
    with pytest.raises(Invalid) as in_turns:
        await parse_report(content)
    monkeypatch.setattr(large_reports, "AT_ONCE_BYTES", len(content))
    with pytest.raises(Invalid) as at_once:
        await parse_report(content)
    assert str(in_turns.value) == str(at_once.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(CONTENT[:-1], id="the end is missing"),
        pytest.param(CONTENT[:-10_000], id="much is missing"),
        pytest.param(CONTENT + b"{}", id="there is more"),
        pytest.param(b"[" + CONTENT + b"]", id="no object"),
        pytest.param(b"[" * 2 * AT_ONCE_BYTES, id="deep"),
        pytest.param(b'{"counters":' + b"[" * 2 * AT_ONCE_BYTES, id="a deep item"),
        pytest.param(b'{"a":' + b"9" * 2 * AT_ONCE_BYTES + b"}", id="a long number"),
        pytest.param(b"{[1]:2," + CONTENT[1:], id="a field without a name"),
        pytest.param(CONTENT.replace(b'"counters":[', b'"counters":[,', 1), id="no item"),
        pytest.param(CONTENT.replace(b'"counters":[{', b'"counters":[{},', 1), id="a broken item"),
        pytest.param(b"\xff" + CONTENT, id="no text"),
        pytest.param(changed(counters={"a": 1}, other="x" * AT_ONCE_BYTES), id="no list"),
        pytest.param(b" " * 2 * AT_ONCE_BYTES, id="nothing"),
    ],
)
async def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        await parse_report(content)


async def test_others_have_their_turn_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_reports, "TURN_SECONDS", 0.0)
    turns, done = 0, False

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    for work in (parse_report(CONTENT), encode_report(LARGE, in_turns=True)):
        turns = 0
        await work
        assert turns >= len(LARGE.counters) + len(LARGE.running)
    done = True
    await beside


async def test_of_large_reports_one_is_taken_at_a_time_and_small_ones_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_reports, "TURN_SECONDS", 0.0)
    under_way, most, done = 0, 0, list[str]()

    async def parse(content: bytes) -> Report:
        nonlocal under_way, most
        under_way += len(content) > AT_ONCE_BYTES
        most = max(most, under_way)
        return await parse_report(content)

    async def encode(each: Report, *, in_turns: bool) -> bytes:
        nonlocal under_way
        encoded = await encode_report(each, in_turns=in_turns)
        under_way -= in_turns
        return encoded

    async def take(name: str, content: bytes) -> None:
        await incoming.take(content)
        done.append(name)

    monkeypatch.setattr(large_reports, "parse_report", parse)
    monkeypatch.setattr(large_reports, "encode_report", encode)
    incoming, small = IncomingReports(), report().model_dump_json(by_alias=True).encode()
    await asyncio.gather(take("large", CONTENT), take("large", CONTENT), take("small", small))
    assert (most, done) == (1, ["small", "large", "large"])


async def test_half_of_a_surrogate_pair_is_refused() -> None:
    for text in (changed(running=[{**json.loads(CONTENT)["running"][0], "message": "\ud800"}]), changed(node="\ud800")):
        assert len(text) > AT_ONCE_BYTES
        with pytest.raises(Invalid):
            await IncomingReports().take(text)


FACTS: dict[str, Any] = {"machine": "m", "cpu": "c", "cores": 4, "memoryBytes": 1, "pageSize": 1, "kernel": "k"}
START = json.loads(report().model_dump_json(by_alias=True))
FILL = '"x":"' + "x" * AT_ONCE_BYTES + '"'
ODD = (
    pytest.param('"sequence":7,"sequence":8', id="a field twice"),
    pytest.param(f'"counters":[],"counters":{json.dumps(START["counters"])}', id="a list twice"),
    pytest.param('"counters":null', id="null for a list"),
    pytest.param('"counters":"abc"', id="a text for a list"),
    pytest.param(r'"\u0063ounters":[{}]', id="the name of a list in escapes"),
    pytest.param(r'"node":"p\u0069-1"', id="escapes in a text"),
    pytest.param(r'"node":"\ud83d\ude00"', id="a pair of surrogates"),
    pytest.param(r'"node":"\ude00\ud83d"', id="the halves of a pair in the wrong order"),
    pytest.param('"node":"a\u0000b"', id="a raw NUL"),
    pytest.param(r'"node":"a\u0000b"', id="an escaped NUL"),
    pytest.param('"node":"a\nb"', id="a raw line break"),
    pytest.param(r'"node":"\x41"', id="an escape that JSON has not"),
    pytest.param('"health":{"temperatureCelsius":NaN}', id="NaN"),
    pytest.param('"health":{"temperatureCelsius":-Infinity}', id="infinity"),
    pytest.param('"health":{"temperatureCelsius":1e999}', id="more than a float has"),
    pytest.param('"uptimeMs":' + "9" * 400, id="a huge number"),
    pytest.param('"uptimeMs":' + "9" * 5000, id="one that Python does not convert"),
    pytest.param('"uptimeMs":1.0', id="a whole float"),
    pytest.param('"uptimeMs":1.5', id="half a millisecond"),
    pytest.param('"uptimeMs":-0', id="minus zero"),
    pytest.param('"uptimeMs":01', id="a leading zero"),
    pytest.param('"uptimeMs":"5"', id="a number as text"),
    pytest.param('"uptimeMs":true', id="true for a number"),
    pytest.param('"health":' + '{"a":' * 150 + "1" + "}" * 150, id="deep"),
    pytest.param(f'"facts":{json.dumps(FACTS)},', id="a comma too many"),
    pytest.param('"counters":[],/**/"a":1', id="a comment"),
    pytest.param("'a':1", id="single quotes"),
    pytest.param('"left_out":{"counters":3}', id="the name in Python"),
)


@pytest.mark.parametrize("odd", ODD)
async def test_odd_json_means_the_same_in_a_large_report_as_in_a_small_one(odd: str) -> None:
    start = json.dumps(START)[:-1]

    async def meaning(text: str) -> Report | None:
        try:
            return (await IncomingReports().take(text.encode()))[0]
        except Invalid:
            return None

    small, large = f"{start},{odd}}}", f"{start},{FILL},{odd}}}"
    assert len(small) <= AT_ONCE_BYTES < len(large)
    assert await meaning(small) == await meaning(large)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + CONTENT, id="a byte order mark"),
        pytest.param(CONTENT.decode().encode("utf-16"), id="another encoding"),
        pytest.param(CONTENT + "\u00a0".encode(), id="white space that JSON has not"),
        pytest.param(CONTENT.replace(b'"node":"', b'"node":"\xed\xa0\x80', 1), id="half of a pair in bytes"),
        pytest.param(CONTENT.replace(b'"node":"', b'"node":"\xc0\xaf', 1), id="an overlong character"),
    ],
)
async def test_other_encodings_are_refused(content: bytes) -> None:
    with pytest.raises(Invalid):
        await IncomingReports().take(content)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"{" + b'"a":1,' * 160_000 + b'"b":1}', "64 fields", id="a field again and again"),
        pytest.param(b"{" + b'"running":[],' * 70_000 + b'"b":1}', "64 fields", id="a list again and again"),
        pytest.param(b'{"memory":[' + b"{}," * 340_000 + b"1]}", "parts", id="many empty items"),
        pytest.param(b'{"health":{' + b'"":1,' * 200_000 + b'"b":1}}', "parts", id="many short names"),
        pytest.param(b'{"counters":[{"counts":{' + b",".join(b'"%d":-1' % each for each in range(90_000)) + b"}}]}", "counts", id="faults"),
    ],
)
async def test_what_costs_much_for_its_size_is_refused_early(content: bytes, why: str) -> None:
    """A device could otherwise hold up all others for most of a second with each report."""
    assert AT_ONCE_BYTES < len(content) <= MAX_REPORT_BYTES
    with pytest.raises(Invalid, match=why):
        await parse_report(content)


async def test_the_bounds_of_the_contract_hold() -> None:
    most = report().model_copy(update={"counters": report().counters * MAX_COUNTERS})
    assert await parse_report(most.model_dump_json(by_alias=True).encode()) == most
    encoded = await encode_report(most, in_turns=True)
    assert Running.model_validate_json(encoded.split(b'"running":[')[1].split(b"}]")[0] + b"}").active == DIGEST
