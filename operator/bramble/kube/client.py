"""The client of the API server, over aiohttp. It takes resources and manifests, and raises the errors of `bramble.errors`."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import aiohttp

from bramble.boottime import boottime
from bramble.errors import AlreadyExists, ApiUnavailable, BrambleError, Conflict, NotAdmitted, NotFound, Refused
from bramble.kube.api import Applied, Listing, Propagation
from bramble.kube.config import ClusterConfig
from bramble.kube.fields import OPERATOR, OPERATOR_STATUS
from bramble.kube.resources import Manifest, Resource

PAGE = 500
"""Objects per page of a list, as in client-go's informers."""

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
CONTENT_JSON = "application/json"
CONTENT_APPLY = "application/apply-patch+yaml"
CONTENT_MERGE = "application/merge-patch+json"
SILENT_SECONDS = 75
"""A watch that receives no data for this many seconds has lost its connection. The API server sends a bookmark every minute."""

WEBHOOK = "failed calling webhook"
"""How the API server says that an admission webhook with `failurePolicy: Fail` did not answer it (its status is 500)."""

Params = Mapping[str, str]


class Client:
    """Makes calls to the API server. `async with` opens and closes its connections."""

    def __init__(
        self, config: ClusterConfig, timeout: aiohttp.ClientTimeout = TIMEOUT, on_date: Callable[[str, float], None] | None = None
    ) -> None:
        """`on_date` is called with the `Date` of each answer as soon as it arrives, and with the seconds since its request."""
        self.config, self._on_date = config, on_date
        self.server = config.server
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._certificate: tuple[str, str] | None = None
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._context(), limit=32)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """One object, or None when it does not exist."""
        try:
            return await self.call("GET", resource.path(namespace, name))
        except NotFound:
            return None

    async def list(self, resource: Resource, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Listing:
        """All objects of a namespace, or of all namespaces when it is empty. They are read page by page; each gets its kind and
        apiVersion.
        """
        items: list[Manifest] = []
        params = {"limit": str(PAGE)}
        if label_selector:
            params["labelSelector"] = label_selector
        if field_selector:
            params["fieldSelector"] = field_selector
        while True:
            page = await self.call("GET", resource.path(namespace), params=params)
            items += ({"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page["items"])
            following = page["metadata"].get("continue")
            if not following:
                return Listing(tuple(items), int(page["metadata"]["resourceVersion"]))
            params = {**params, "continue": following}

    async def create(self, resource: Resource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object. With `dry_run` it passes admission, quotas included, and is not stored (KEP-576).

        Raises:
            AlreadyExists: an object with this name exists.
        """
        path = resource.path(manifest["metadata"].get("namespace"))
        params = {"fieldManager": OPERATOR, "dryRun": "All"} if dry_run else {"fieldManager": OPERATOR}
        return await self.call("POST", path, manifest, params)

    async def apply(self, resource: Resource, manifest: Manifest, *, force: bool) -> Applied:
        """Server-side apply (KEP-555). Without `force`, a field that another manager owns is a Conflict."""
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"])
        params = {"fieldManager": OPERATOR, "force": "true" if force else "false"}
        status, answer = await self._request("PATCH", path, manifest, params, CONTENT_APPLY)
        return Applied(answer, created=status == 201)  # noqa: PLR2004 - HTTP's Created

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> Manifest:
        """Apply a JSON merge patch (RFC 7386)."""
        return await self.call("PATCH", resource.path(namespace, name), patch, {"fieldManager": OPERATOR}, CONTENT_MERGE)

    async def replace_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Replace the status."""
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], "status")
        return await self.call("PUT", path, manifest, {"fieldManager": OPERATOR_STATUS})

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Replace a whole object."""
        metadata = manifest["metadata"]
        return await self.call("PUT", resource.path(metadata.get("namespace"), metadata["name"]), manifest, {"fieldManager": OPERATOR})

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, propagation: Propagation) -> None:
        """Delete the object with this uid. If it does not exist, or has another uid, nothing happens."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            await self.call("DELETE", resource.path(namespace, name), body)
        except (NotFound, Conflict):
            return

    async def watch(
        self, resource: Resource, namespace: str, label_selector: str, since: int, seconds: int
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        """Watch from resourceVersion `since` until the server ends the watch; yields the type and the object of each event, also of
        bookmarks.

        Raises:
            ApiUnavailable: there is no answer, the connection broke, or `since` is too old (410). The caller must list again.
        """
        path = resource.path(namespace)
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(since),
            "labelSelector": label_selector,
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(total=seconds + 30, sock_connect=5, sock_read=SILENT_SECONDS)
        try:
            async with self._session_request("GET", path, None, params, CONTENT_JSON, timeout) as response:
                if response.status >= 400:  # noqa: PLR2004
                    raise self._error(response.status, f"WATCH {path}", await response.text())
                async for line in _lines(response.content):
                    event = _parsed(line, f"WATCH {path}")
                    if event["type"] == "ERROR":
                        raise error_of(int(event["object"].get("code", 500)), f"WATCH {path}", json.dumps(event["object"]))
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"WATCH {path}: {type(error).__name__} {error}") from error

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, params: Params | None = None, content: str = CONTENT_JSON
    ) -> dict[str, Any]:
        """Make one request and return the JSON of the answer.

        Raises:
            BrambleError: see `error_of`.
        """
        return (await self._request(method, path, body, params, content))[1]

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Params | None, content: str
    ) -> tuple[int, dict[str, Any]]:
        asked = boottime()
        try:
            async with self._session_request(method, path, body, params, content, self._timeout) as response:
                if self._on_date is not None and (date := response.headers.get("Date")):
                    self._on_date(date, boottime() - asked)
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"{method} {path}: {type(error).__name__} {error}") from error
        if response.status >= 400:  # noqa: PLR2004 - HTTP errors begin at 400
            raise self._error(response.status, f"{method} {path}", text)
        return response.status, _parsed(text, f"{method} {path}")

    def _session_request(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Params | None, content: str, timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("the client is not open: use `async with`")
        headers = {"Accept": CONTENT_JSON, "Content-Type": content}
        if token := self.config.bearer():
            headers["Authorization"] = f"Bearer {token}"
        encoded = json.dumps(body).encode() if body is not None else None
        url = self.config.server + path
        return self._session.request(method, url, data=encoded, params=params, headers=headers, timeout=timeout, ssl=self._context())

    def _context(self) -> ssl.SSLContext:
        """The TLS context with the client certificate that is valid now. A new one is made only when the certificate has changed."""
        certificate = self.config.client_certificate()
        if self._tls is None or certificate != self._certificate:
            self._certificate, self._tls = certificate, self.config.ssl_context()
        return self._tls

    def _error(self, status: int, call: str, text: str) -> BrambleError:
        if status == 401:  # noqa: PLR2004
            self.config.refused()
        return error_of(status, call, text)


async def _lines(stream: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """Yield the lines that are not empty. Unlike the stream's own `readline`, this has no limit on the length of a line, which a large
    ConfigMap would exceed.
    """
    pending = bytearray()
    async for chunk in stream.iter_any():
        pending += chunk
        *whole, rest = pending.split(b"\n")
        for line in whole:
            if line:
                yield bytes(line)
        pending = bytearray(rest)


def _parsed(text: str | bytes, call: str) -> dict[str, Any]:
    """The JSON of an answer.

    Raises:
        ApiUnavailable: the answer is not JSON, or is nested too deep for this process (`bramble.__main__.read_deep`).
    """
    try:
        answer: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiUnavailable(f"{call}: the answer cannot be read: {type(error).__name__} {error}") from error
    return answer


def error_of(status: int, call: str, text: str) -> BrambleError:
    """The error for an answer. Its message comes from the API server's Status or, if the answer is not a Status, from its text.

    401 is retryable, because a token may have expired between reading and sending it. So is 404: on a create it means that the namespace is
    being deleted, on any other write that the object was deleted.
    """
    try:
        answer = json.loads(text)
    except json.JSONDecodeError:
        answer = {}
    message = f"{answer.get('message') or text[:500] or 'no message'} ({call}: {status} {answer.get('reason', '')})".strip()
    if status == 404:  # noqa: PLR2004
        return NotFound(message)
    if status == 409:  # noqa: PLR2004
        return AlreadyExists(message) if answer.get("reason") == "AlreadyExists" else Conflict(message)
    if status in (401, 408, 410, 429) or status >= 500:  # noqa: PLR2004
        return NotAdmitted(message) if WEBHOOK in message else ApiUnavailable(message)
    return Refused(message)
