"""The calls of a job to the gateway: progress, and the results of boards.

This module imports the standard library only, because the sidecar must start fast.
"""

from __future__ import annotations

import http.client
import json
import ssl
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bramble_workloads import paths
from bramble_workloads.errors import SpecError, TryAgain

if TYPE_CHECKING:
    from bramble.contracts.report import Progress

SECONDS = 5


class GatewayClient:
    """Sends requests to one gateway. It reads the projected token again for each request, because the kubelet renews it."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    def progress(self, progress: Progress | dict[str, Any]) -> bool:
        """Post progress. Returns True if it arrived. A failure is not an error, because progress is only information."""
        document = progress if isinstance(progress, dict) else progress.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            status, _ = self._post("/v1/progress", document)
        except TryAgain:
            return False
        return status < HTTPStatus.BAD_REQUEST

    def file_result(self, key: str, result: dict[str, Any]) -> None:
        """Write a result or a cause to the store through the gateway (at most 64 KiB).

        Raises:
            TryAgain: the gateway did not answer, or could not reach the store.
            SpecError: it refused the pod or the document.
        """
        status, answer = self._post("/v1/results", {"key": key, "result": result})
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TryAgain(f"the gateway answered {status} to the result: {answer[:300]}")
        if status >= HTTPStatus.BAD_REQUEST:
            raise SpecError(f"the gateway refuses the result with {status}: {answer[:300]}")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        authority = paths.gateway_ca()
        return ssl.create_default_context(cafile=str(authority) if authority.is_file() else None)

    def _post(self, path: str, document: dict[str, Any]) -> tuple[int, str]:
        """Post a document and return the status and the body of the answer.

        Raises:
            TryAgain: the gateway did not answer.
        """
        host, port = self._address.hostname or "", self._address.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=SECONDS, context=self._tls)
            if self._address.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=SECONDS)
        )
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {paths.gateway_token().read_text().strip()}"}
            connection.request("POST", f"{self._address.path.rstrip('/')}{path}", body=json.dumps(document), headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise TryAgain(f"the gateway at {self._address.geturl()} did not answer: {error}") from error
        finally:
            connection.close()
