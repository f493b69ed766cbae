"""The handlers of the gateway's calls. Each checks who may make the call, parses the body and returns the answer (package contract, §2)."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bramble.contracts.report import MAX_REPORT_BYTES, Progress
from bramble.contracts.untrusted import parse_untrusted
from bramble.gateway import results
from bramble.gateway.assignments import Assignments
from bramble.gateway.blobs import BlobRequest, Blobs
from bramble.gateway.identity import Caller, Identities, bearer, require_agent, require_operator
from bramble.gateway.jobs import Jobs
from bramble.gateway.large_reports import IncomingReports
from bramble.gateway.rates import Rates
from bramble.gateway.refusals import Busy, Encoded, Forbidden, Invalid, TooLarge
from bramble.gateway.reports import NUMBER, ReceivedReports
from bramble.gateway.stores import Stores
from bramble.settings import Settings

POLL_SECONDS = 25.0
"""How long a device's call waits for a change before it is answered with 304. Common proxies end idle connections after 30 s."""

LEAVE_SECONDS = 4.0
"""A replica that is about to stop answers waiting calls one by one within this time, so that not all devices connect to another at once."""

BODY_SECONDS = 20.0
"""The time within which the whole body must arrive."""

PROGRESS_BYTES = 64 * 1024
FILING_BYTES = results.MAX_BYTES + 4096
"""The largest body of a filing: a result, and the key beside it."""

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Calls:
    """The handlers of all calls, with everything that they need.

    Attributes:
        draining: set when this replica is about to stop; no call waits any longer.
    """

    settings: Settings
    identities: Identities
    jobs: Jobs
    stores: Stores
    assignments: Assignments
    reports: ReceivedReports
    blobs: Blobs
    rates: Rates
    draining: asyncio.Event
    incoming: IncomingReports = field(default_factory=IncomingReports)

    def routes(self) -> list[web.RouteDef]:
        """Every call, by method and path."""
        return [
            web.get("/v1/assignment", self.assignment, name="assignment"),
            web.get("/v1/blobs/{sha256}", self.blob, name="blobs", allow_head=False),
            web.post("/v1/status", self.status, name="status"),
            web.post("/v1/progress", self.progress, name="progress"),
            web.post("/v1/results", self.result, name="results"),
            web.get("/v1/observed", self.observed, name="observed", allow_head=False),
        ]

    async def assignment(self, request: web.Request) -> web.Response:
        """Answer with the node's assignments. With `?after=<etag>` wait until they change; after 25 s without a change, answer 304."""
        node = require_agent(await self._counted(request), self.settings)
        await self._wait_until_synced()
        after, now = request.query.get("after", ""), asyncio.get_running_loop().time
        deadline, leaving = now() + POLL_SECONDS, False
        answer = self.assignments.of(node)
        while answer.etag == after:
            if self.draining.is_set() and not leaving:
                deadline, leaving = min(deadline, now() + random.uniform(0, LEAVE_SECONDS)), True  # noqa: S311  (spreads load)
            left = deadline - now()
            if left <= 0 or not await self.assignments.wait_for_change(node, left):
                return self._unchanged(after)
            answer = self.assignments.of(node)
        return web.Response(body=answer.body, content_type="application/json", headers={"ETag": f'"{answer.etag}"'})

    def _unchanged(self, etag: str) -> web.Response:
        answer = web.Response(status=304, headers={"ETag": f'"{etag}"'})
        if self.draining.is_set():
            answer.force_close()  # the next call must reach another replica
        return answer

    async def _wait_until_synced(self) -> None:
        if self.assignments.synced.is_set():
            return
        try:
            await asyncio.wait_for(self.assignments.synced.wait(), POLL_SECONDS)
        except TimeoutError:
            raise Busy("the assignments are not known yet, because the API server has not answered; go on serving and try again") from None

    async def blob(self, request: web.Request) -> web.StreamResponse:
        """Send a blob to a device whose assignment names it, or to a benchmark whose job names it."""
        caller = await self._caller(request)
        return await self.blobs.get(BlobRequest.of(request), request, caller)

    async def status(self, request: web.Request) -> web.Response:
        """Accept a device's report about itself."""
        caller = await self._counted(request)
        node = require_agent(caller, self.settings)
        report, encoded = await self.incoming.take(await self._content(request, caller, MAX_REPORT_BYTES))
        if report.node != node:
            raise Forbidden(f"a report of node {report.node} came from an agent on node {node}")
        self.reports.add_report(report, encoded)
        return web.Response(status=204)

    async def progress(self, request: web.Request) -> web.Response:
        """Accept a job's progress, for the object that the job works for and for no other."""
        caller = await self._counted(request)
        job = await self.jobs.of(caller)
        progress = await self._body(request, caller, Progress, PROGRESS_BYTES)
        named = (progress.object, progress.step, progress.attempt)
        if named not in ((job.ref, job.step, job.job.attempt), (job.ref, job.job.step, job.job.attempt)):
            reported = f"step {progress.step}, attempt {progress.attempt} of {progress.object.kind} {progress.object.name}"
            own = f"step {job.step}, attempt {job.job.attempt} of {job.ref.kind} {job.ref.name}"
            raise Forbidden(f"progress of {reported} came from a pod of {own}")
        self.reports.add_progress(progress)
        return web.Response(status=204)

    async def result(self, request: web.Request) -> web.Response:
        """File the result of a job that has no store credentials."""
        caller = await self._counted(request)
        job = await self.jobs.of(caller)
        filing = await self._body(request, caller, results.Filing, FILING_BYTES)
        digest = await results.file(filing, job, await self.stores.of(job.ref.namespace))
        return web.json_response({"key": filing.key, "sha256": digest}, status=201)

    async def observed(self, request: web.Request) -> web.Response:
        """Answer the operator with everything that this replica received: with `?after=<cursor>` what it received since, and with
        `?limit=<bytes>` the first part of it.
        """
        require_operator(await self._caller(request), self.settings)
        limit = request.query.get("limit", "")
        body = self.reports.observed(request.query.get("after", ""), max(1, int(limit)) if NUMBER.fullmatch(limit) else None)
        answer = web.Response(body=body, content_type="application/json")
        answer.enable_compression()
        return answer

    async def _caller(self, request: web.Request) -> Caller:
        return await self.identities.of(bearer(request.headers.get("Authorization")), request.remote or "")

    async def _counted(self, request: web.Request) -> Caller:
        caller = await self._caller(request)
        self.rates.call(caller)
        return caller

    async def _body(self, request: web.Request, caller: Caller, model: type[Body], limit: int) -> Body:
        """The request's body, parsed as this model.

        Raises:
            Invalid: the body does not fit the model.
            Throttled, Encoded, TooLarge, Invalid: as for `_content`.
        """
        content = await self._content(request, caller, limit)
        try:
            return parse_untrusted(model, content, limit)
        except ValidationError as error:
            raise Invalid.of(error) from error

    async def _content(self, request: web.Request, caller: Caller, limit: int) -> bytes:
        """The bytes of the request's body.

        Raises:
            Throttled: the caller has sent too much lately.
            Encoded, TooLarge, Invalid: as for `_content` of the module.
        """
        content = await _content(request, limit)
        self.rates.body(caller, len(content))
        return content


async def _content(request: web.Request, limit: int) -> bytes:
    """The bytes of the request's body.

    Raises:
        Encoded: the body is compressed.
        TooLarge: the body has more than `limit` bytes, whatever its header says.
        Invalid: the body did not arrive in time.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Encoded(f"{request.path} accepts no Content-Encoding: send the JSON as it is")
    if (request.content_length or 0) > limit:
        raise TooLarge(f"{request.path} accepts at most {limit} bytes")
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                content += chunk
                if len(content) > limit:
                    raise TooLarge(f"{request.path} accepts at most {limit} bytes")
    except TimeoutError:
        raise Invalid(f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
    return bytes(content)
