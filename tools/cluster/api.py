"""The few API calls that the supervisor makes itself, over one client certificate."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from typing import Any

from tools.cluster import addresses
from tools.cluster.errors import AlreadyExists, ClusterError
from tools.cluster.state import State

FIELD_MANAGER = "bramble-cluster"
TIMEOUT_SECONDS = 10.0
NOT_NOW = (http.HTTPStatus.CONFLICT, http.HTTPStatus.TOO_MANY_REQUESTS)


class Api:
    """JSON requests to the API server from the router's namespace, one connection each."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._context: ssl.SSLContext | None = None

    async def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The decoded answer.

        Raises:
            OSError: nobody answers, or not to the end, or it may go better in a moment (a conflict, 429, 500 and above).
            AlreadyExists: an object of that name is there.
            ClusterError: any other status from 400 on, with the server's message.
        """
        return await asyncio.to_thread(self._request, method, path, body, content_type)

    async def apply(self, path: str, document: dict[str, Any]) -> Any:
        """Server-side apply of one object."""
        return await self.request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", document, "application/apply-patch+yaml")

    def _request(self, method: str, path: str, body: Any, content_type: str) -> Any:
        if self._context is None:
            pki = self._state.pki
            self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
            self._context.load_cert_chain(pki / "supervisor.crt", pki / "supervisor.key")
        connection = http.client.HTTPSConnection(addresses.CORE, addresses.API_PORT, context=self._context, timeout=TIMEOUT_SECONDS)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            said = f"{method} {path}: {answer.status} {text.decode(errors='replace').strip()}"
            if answer.status == http.HTTPStatus.CONFLICT and b'"reason":"AlreadyExists"' in text:
                raise AlreadyExists(said)
            if answer.status in NOT_NOW or answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise ConnectionError(said)
            raise ClusterError(said)
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return json.loads(text) if is_json else text.decode()
