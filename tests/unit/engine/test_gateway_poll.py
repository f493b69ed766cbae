"""Reading the gateway's replicas."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from bramble.contracts.report import OFFLINE_SECONDS, Observed, SeenProgress, SeenReport
from bramble.engine import gateway_poll as module
from bramble.engine.cache import Cache
from bramble.engine.changes import Changes
from bramble.engine.device_reports import DeviceReports
from bramble.engine.gateway_poll import Address, GatewayPoller, parse_reading, ready_addresses
from bramble.engine.metrics import Metrics
from bramble.engine.queue import WorkQueue
from bramble.errors import ApiUnavailable
from bramble.kube.resources import Manifest
from tests.engine.running import eventually
from tests.ports import free_port
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.objects import made
from tests.unit.engine.replica import SETTINGS
from tests.unit.engine.test_device_reports import progress, report
from tools.cluster.pki import Authority


def test_only_ready_replicas_are_asked() -> None:
    slices: list[Manifest] = [
        {
            "ports": [{"name": "https", "port": 8443}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": True}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
                {"addresses": ["10.0.0.3"]},
            ],
        },
        {"ports": None, "endpoints": None},
    ]
    assert ready_addresses(slices) == {Address("10.0.0.1", 8443), Address("10.0.0.3", 8443)}


def answer(*reports: Any) -> bytes:
    seen = [{"ageSeconds": 1, "report": each} for each in reports]
    said = {"ageSeconds": 1, "progress": progress(1, 3).model_dump(mode="json", by_alias=True)}
    return json.dumps({"replica": "g1", "upSeconds": 60, "reports": seen, "progress": [said]}).encode()


def test_one_bad_report_leaves_the_others_of_its_replica() -> None:
    good, other = (report(node, 1).model_dump(mode="json", by_alias=True) for node in ("pi-1", "pi-2"))
    seen = parse_reading(answer(good, {**good, "node": "pi-9", "sequence": 2**60}, "no report", other))
    assert [each.report.node for each in seen.reports] == ["pi-1", "pi-2"]
    assert [each.progress.epoch for each in seen.progress] == [3]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"replica": "g1"}', b'{"replica": "g1", "upSeconds": 1, "reports": {"0": 1}}'])
def test_what_is_no_reading_at_all_is_none(content: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parse_reading(content)


class Away(FakeApi):
    """An API server that does not answer lists while `gone` is set."""

    gone = False

    async def list(self, *args: Any, **options: Any) -> Any:
        if self.gone:
            raise ApiUnavailable("away")
        return await super().list(*args, **options)


@pytest.mark.parametrize(
    ("gone", "replicas", "silent"),
    [
        pytest.param(False, 0, 0, id="none is ready"),
        pytest.param(False, 1, 1, id="one is, and no CA is mounted to ask it by"),
        pytest.param(True, 1, 0, id="the API server does not say which there are"),
    ],
)
async def test_replicas_that_no_longer_answer_are_not_counted_as_such(gone: bool, replicas: int, silent: int) -> None:
    api, metrics = Away(), Metrics()
    api.gone = gone
    endpoints = [{"addresses": [f"10.0.0.{number}"]} for number in range(replicas)]
    labels = {"kubernetes.io/service-name": SETTINGS.gateway_service}
    ports = [{"name": "https", "port": 8443}]
    api.put(made("EndpointSlice", "g", namespace=SETTINGS.namespace, metadata={"labels": labels}, ports=ports, endpoints=endpoints))
    metrics.replicas.labels("yes").set(2)
    metrics.replicas.labels("no").set(2)
    metrics.devices.set(9)
    poller = GatewayPoller(api, SETTINGS, Changes(Cache(), WorkQueue(), {}), DeviceReports(), metrics)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await poller.run()
    sample = metrics.registry.get_sample_value
    counted = [sample("bramble_gateway_replicas", {"answered": told}) for told in ("yes", "no")]
    assert (counted, sample("bramble_devices")) == ([0, silent], 0)


def reading(node: str | None = None, up_seconds: float = 60, cursor: str = "c1") -> Observed:
    """What a replica received: a report of this node, and progress of a run."""
    reports = (SeenReport(age_seconds=0, report=report(node, 1)),) if node is not None else ()
    made_progress = (SeenProgress(age_seconds=0, progress=progress(1, 3)),) if node is not None else ()
    return Observed(replica="g", up_seconds=up_seconds, cursor=cursor, reports=reports, progress=made_progress)


class Replicas:
    """Gateway replicas on several addresses, and the poller that reads them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Observed | None]) -> None:
        self.answers = dict(answers)
        self.woken: list[str] = []
        self.metrics, self.reports = Metrics(), RecordedReports()
        api, changes = FakeApi(), Changes(Cache(), WorkQueue(), {})
        endpoints = [{"addresses": [host]} for host in answers]
        labels, ports = {"kubernetes.io/service-name": SETTINGS.gateway_service}, [{"port": 8443}]
        api.put(made("EndpointSlice", "g", namespace=SETTINGS.namespace, metadata={"labels": labels}, ports=ports, endpoints=endpoints))
        api.put(made("EndpointSlice", "other", namespace=SETTINGS.namespace, ports=ports, endpoints=[{"addresses": ["10.9.9.9"]}]))
        self.poller = GatewayPoller(api, SETTINGS, changes, self.reports, self.metrics)
        monkeypatch.setattr(self.poller, "_trust", SimpleNamespace(context=lambda: True))
        monkeypatch.setattr(module, "_token", lambda _: "token")
        monkeypatch.setattr(self.poller, "_read", self.read)
        monkeypatch.setattr(changes, "wake_dependants", lambda key: self.woken.append("/".join(key)))
        monkeypatch.setattr(changes, "wake", lambda key: self.woken.append("/".join(key)))

    async def read(self, _: Any, replica: Address, context: Any, headers: Mapping[str, str]) -> list[Observed] | None:
        assert context
        assert headers == {"Authorization": "Bearer token"}
        answer = self.answers[replica.host]
        return [answer] if answer is not None else None

    async def read_all(self) -> None:
        await self.poller.read_all(cast(aiohttp.ClientSession, None))

    def counted(self) -> tuple[float | None, ...]:
        sample = self.metrics.registry.get_sample_value
        replicas = (sample("bramble_gateway_replicas", {"answered": answered}) for answered in ("yes", "no"))
        return (*replicas, sample("bramble_devices"))


class RecordedReports(DeviceReports):
    complete: bool | None = None

    def record_reading(self, *, complete: bool) -> None:
        self.complete = complete


@pytest.mark.parametrize(
    ("answers", "complete", "counted"),
    [
        pytest.param({"a": reading("pi-1"), "b": reading()}, True, (2, 0, 1), id="every replica answers"),
        pytest.param({"a": reading("pi-1"), "b": None}, False, (1, 1, 1), id="one does not answer"),
        pytest.param({"a": None, "b": None}, False, (0, 2, 0), id="none answers"),
        pytest.param({"a": reading(), "b": reading(up_seconds=OFFLINE_SECONDS)}, True, (2, 0, 0), id="one is just old enough"),
        pytest.param({"a": reading(), "b": reading(up_seconds=OFFLINE_SECONDS - 0.1)}, False, (2, 0, 0), id="one is too young"),
        pytest.param({}, False, (0, 0, 0), id="there is none"),
    ],
)
async def test_a_reading_is_complete_if_all_replicas_answer_and_are_old_enough(
    monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Observed | None], complete: bool, counted: tuple[float, ...]
) -> None:
    replicas = Replicas(monkeypatch, answers)
    await replicas.read_all()
    assert replicas.reports.complete is complete
    assert replicas.counted() == counted


async def test_the_news_wakes_the_fleet_and_the_object_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = Replicas(monkeypatch, {"a": reading("pi-1")})
    await replicas.read_all()
    assert replicas.woken == ["Report//demo", "TrainingRun/ads/digits"]
    await replicas.read_all()
    assert len(replicas.woken) == 2, "the same again is no news"


async def test_a_replica_is_asked_for_what_came_after_its_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = Replicas(monkeypatch, {"a": reading(cursor="a1"), "b": reading(cursor="b1")})
    await replicas.read_all()
    assert replicas.poller._cursors == {Address("a", 8443): "a1", Address("b", 8443): "b1"}
    replicas.answers["b"] = None
    await replicas.read_all()
    assert replicas.poller._cursors == {Address("a", 8443): "a1"}, "a replica that did not answer is asked for everything"


class PartsSession:
    """A replica that answers in these parts."""

    def __init__(self, *parts: Observed) -> None:
        self.parts, self.asked = list(parts), list[tuple[str, int]]()

    @contextlib.asynccontextmanager
    async def get(self, _: str, *, params: Mapping[str, str], **options: Any) -> AsyncIterator[Any]:
        assert options["server_hostname"] == f"{SETTINGS.gateway_service}.{SETTINGS.namespace}.svc"
        self.asked.append((params["after"], int(params["limit"])))
        part = self.parts.pop(0)

        async def read() -> bytes:
            return part.model_dump_json(by_alias=True).encode()

        yield SimpleNamespace(raise_for_status=lambda: None, read=read)


async def test_a_replica_with_much_to_say_is_read_in_parts_and_its_news_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = Replicas(monkeypatch, {"a": None})
    monkeypatch.setattr(replicas.poller, "_read", functools.partial(GatewayPoller._read, replicas.poller))
    first, second = reading("pi-1", cursor="c1").model_copy(update={"more": True}), reading("pi-2", cursor="c2")
    session = PartsSession(first, second)
    await replicas.poller.read_all(cast(aiohttp.ClientSession, session))
    assert session.asked == [("", module.PART_BYTES), ("c1", module.PART_BYTES)]
    assert replicas.poller._cursors == {Address("a", 8443): "c2"}
    assert (replicas.counted(), replicas.reports.complete) == ((1, 0, 2), True)
    assert replicas.woken == ["Report//demo", "TrainingRun/ads/digits"]


PATH = "/v1/observed"


@pytest.mark.parametrize(
    ("answer_of", "seen"),
    [
        pytest.param(lambda: web.Response(body=reading("pi-1").model_dump_json(by_alias=True)), True, id="a reading"),
        pytest.param(lambda: web.Response(status=403, text="not you"), False, id="a refusal"),
        pytest.param(lambda: web.Response(text="[]"), False, id="another document"),
    ],
)
async def test_a_replica_is_read_over_tls_by_the_name_of_its_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer_of: Callable[[], web.Response], seen: bool
) -> None:
    """The replica's certificate names the Service, and the connection goes to the address of its pod."""
    asked: list[tuple[str | None, str]] = []
    connections = set[object]()

    async def observed(request: web.Request) -> web.Response:
        connections.add(request.transport)
        asked.append((request.headers.get("Authorization"), request.query["after"]))
        return answer_of()

    pair = Authority(tmp_path, "ca").issue("gateway", common_name="gateway", hosts=(f"bramble-gateway.{SETTINGS.namespace}.svc",))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    application = web.Application()
    application.router.add_get(PATH, observed)
    token, port = tmp_path / "token", free_port()
    token.write_text("token of the operator\n")
    monkeypatch.setattr(module, "GATEWAY_TOKEN", str(token))
    api, metrics, reports = FakeApi(), Metrics(), DeviceReports()
    labels = {"kubernetes.io/service-name": SETTINGS.gateway_service}
    endpoints, ports = [{"addresses": ["127.0.0.1"]}], [{"port": port}]
    api.put(made("EndpointSlice", "g", namespace=SETTINGS.namespace, metadata={"labels": labels}, ports=ports, endpoints=endpoints))
    settings = replace(SETTINGS, gateway_ca=str(tmp_path / "ca.crt"), observe_seconds=0.01)
    poller = GatewayPoller(api, settings, Changes(Cache(), WorkQueue(), {}), reports, metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    polling = asyncio.ensure_future(poller.run())
    try:
        await eventually(lambda: several(asked))
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
        await runner.cleanup()
    assert asked[:2] == [("Bearer token of the operator", ""), ("Bearer token of the operator", "c1" if seen else "")]
    assert len(connections) == 1, "no handshake for each reading"
    answered = [metrics.registry.get_sample_value("bramble_gateway_replicas", {"answered": each}) for each in ("yes", "no")]
    assert (answered, reports.count()) == (([1, 0], 1) if seen else ([0, 1], 0))


async def test_that_a_replica_does_not_answer_is_said_once_and_that_it_answers_again_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replicas = Replicas(monkeypatch, {"a": None})
    monkeypatch.setattr(replicas.poller, "_read", functools.partial(GatewayPoller._read, replicas.poller))

    class Session:
        answer: bytes | Exception = TimeoutError()

        @contextlib.asynccontextmanager
        async def get(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            if isinstance(self.answer, Exception):
                raise self.answer

            async def read() -> bytes:
                assert isinstance(self.answer, bytes)
                return self.answer

            yield SimpleNamespace(raise_for_status=lambda: None, read=read)

    session = Session()
    caplog.set_level("INFO")
    good = reading("pi-1").model_dump_json(by_alias=True).encode()
    for answer in (TimeoutError(), TimeoutError(), good, b'{"replica": "g1", "reports": ' + b"[" + b"1," * 9999 + b"1]}"):
        session.answer = answer
        await replicas.poller.read_all(cast(aiohttp.ClientSession, session))
    said = [f"{each.levelname} {each.message}" for each in caplog.records if each.name == module.__name__]
    assert said[:2] == [
        "WARNING gateway replica a does not answer: TimeoutError: not within 5 s",
        "INFO gateway replica a answers again",
    ]
    assert len(said) == 4
    assert said[3].startswith("WARNING gateway replica a does not answer: its answer breaks the contract at upSeconds: Field required")
    assert replicas.counted() == (0, 1, 1)


def test_a_ca_that_cannot_be_used_ends_no_readings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ca.crt"
    trust = module._Trust(path)
    assert trust.context() is None
    for content in (b"no PEM", b"no PEM", b"\xff", b""):
        path.write_bytes(content)
        assert trust.context() is None
    assert [each.levelname for each in caplog.records] == ["WARNING", "WARNING"]
    Authority(tmp_path, "ca")
    assert trust.context() is trust.context() is not None


async def several(asked: list[tuple[str | None, str]]) -> bool:
    return len(asked) > 1
