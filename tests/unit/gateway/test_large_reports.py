"""A large report is taken in turns, and says the same as one that is parsed at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bramble.contracts.report import MAX_COUNTERS, LeftOut, Report, Running
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
        encoded = await encode_report(each)
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
    for work in (parse_report(CONTENT), encode_report(LARGE)):
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

    async def encode(each: Report) -> bytes:
        nonlocal under_way
        encoded = await encode_report(each)
        under_way -= len(each.counters) > 1
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


async def test_the_bounds_of_the_contract_hold() -> None:
    most = report().model_copy(update={"counters": report().counters * MAX_COUNTERS})
    assert await parse_report(most.model_dump_json(by_alias=True).encode()) == most
    assert Running.model_validate_json((await encode_report(most)).split(b'"running":[')[1].split(b"}]")[0] + b"}").active == DIGEST
