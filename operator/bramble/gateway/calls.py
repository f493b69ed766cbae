"""The calls, one method each: who may make it, what it takes, what it answers (package contract, §2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bramble.contracts.report import Progress, Report
from bramble.gateway import results
from bramble.gateway.assignments import Assignments
from bramble.gateway.blobs import Blobs
from bramble.gateway.identity import Caller, Identities, bearer, require_agent, require_operator
from bramble.gateway.jobs import JobCaller, Jobs
from bramble.gateway.refusals import Busy, Forbidden, Invalid, TooLarge
from bramble.gateway.reports import Heard
from bramble.gateway.stores import Stores
from bramble.settings import Settings

POLL_SECONDS = 25.0
"""How long a device waits for a change before it is told that there was none; below the idle limit of common proxies (30 s)."""
BODY_SECONDS = 20.0
REPORT_BYTES = 1024 * 1024
PROGRESS_BYTES = 64 * 1024
FILING_BYTES = results.MAX_BYTES + 4096
"""A result and the key beside it."""

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Calls:
    """All that the calls need. One of them a process."""

    settings: Settings
    identities: Identities
    jobs: Jobs
    stores: Stores
    assignments: Assignments
    heard: Heard
    blobs: Blobs
    draining: asyncio.Event

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
        """What this node should run; with `after` not before that differs, or 304 after 25 s."""
        node = require_agent(await self._caller(request), self.settings)
        if not self.assignments.synced.is_set():
            await self._synced()
        after = request.query.get("after", "")
        deadline = asyncio.get_running_loop().time() + POLL_SECONDS
        told = self.assignments.of(node)
        while told.etag == after:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or self.draining.is_set():
                return web.Response(status=304, headers={"ETag": f'"{after}"'})
            await self.assignments.changed(node, left)
            told = self.assignments.of(node)
        return web.Response(body=told.body, content_type="application/json", headers={"ETag": f'"{told.etag}"'})

    async def _synced(self) -> None:
        try:
            await asyncio.wait_for(self.assignments.synced.wait(), POLL_SECONDS)
        except TimeoutError:
            raise Busy("the assignments are not known yet: the API server has not answered; keep what you have") from None

    async def blob(self, request: web.Request) -> web.StreamResponse:
        """A blob, for a device whose assignment names it or a benchmark whose job does."""
        return await self.blobs.get(request, await self._caller(request))

    async def status(self, request: web.Request) -> web.Response:
        """A device's report on itself."""
        node = require_agent(await self._caller(request), self.settings)
        report = await _body(request, Report, REPORT_BYTES)
        if report.node != node:
            raise Forbidden(f"a report of node {report.node} from an agent on node {node}")
        self.heard.report(report)
        return web.Response(status=204)

    async def progress(self, request: web.Request) -> web.Response:
        """A job's progress, for the object that it works for and no other."""
        job = await self._job(request)
        progress = await _body(request, Progress, PROGRESS_BYTES)
        told = (progress.object, progress.step, progress.attempt)
        if told not in ((job.ref, job.step, job.job.attempt), (job.ref, job.job.step, job.job.attempt)):
            said = f"step {progress.step}, attempt {progress.attempt} of {progress.object.kind} {progress.object.name}"
            is_of = f"step {job.step}, attempt {job.job.attempt} of {job.ref.kind} {job.ref.name}"
            raise Forbidden(f"progress of {said} from a pod of {is_of}")
        self.heard.progress(progress)
        return web.Response(status=204)

    async def result(self, request: web.Request) -> web.Response:
        """A result of a job without store credentials."""
        job = await self._job(request)
        filing = await _body(request, results.Filing, FILING_BYTES)
        digest = await results.file(filing, job, await self.stores.of(job.ref.namespace))
        return web.json_response({"key": filing.key, "sha256": digest}, status=201)

    async def observed(self, request: web.Request) -> web.Response:
        """All that this replica heard, for the operator."""
        require_operator(await self._caller(request), self.settings)
        answer = web.Response(body=self.heard.observed(request.query.get("after", "")), content_type="application/json")
        answer.enable_compression()
        return answer

    async def _caller(self, request: web.Request) -> Caller:
        return await self.identities.of(bearer(request.headers.get("Authorization")))

    async def _job(self, request: web.Request) -> JobCaller:
        return await self.jobs.of(await self._caller(request))


async def _body(request: web.Request, model: type[Body], limit: int) -> Body:
    """The request's JSON, typed.

    Raises:
        TooLarge: it has more than `limit` bytes, whatever its header says.
        Invalid: it did not arrive in time, or is not such a document.
    """
    if (request.content_length or 0) > limit:
        raise TooLarge(f"{request.path} takes at most {limit} bytes")
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                content += chunk
                if len(content) > limit:
                    raise TooLarge(f"{request.path} takes at most {limit} bytes")
    except TimeoutError:
        raise Invalid(f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
    try:
        return model.model_validate_json(bytes(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Invalid(f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}") from error
