"""The S3 server of a cluster, and the one request that makes its bucket."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from tools.cluster import addresses
from tools.cluster.components import STORE_REGION
from tools.cluster.errors import ClusterError
from tools.cluster.waiting import wait

BUCKET = "bramble"
READY_SECONDS = 20.0


@dataclass(frozen=True)
class S3:
    """Where the store is, from the host and from pods, and the keys to it."""

    host_endpoint: str
    pod_endpoint: str
    access_key: str
    secret_key: str
    bucket: str = BUCKET
    region: str = STORE_REGION


def new_keys() -> dict[str, str]:
    return {"access_key": f"bramble{secrets.token_hex(6)}", "secret_key": secrets.token_urlsafe(30)}


def store(port: int, keys: dict[str, str]) -> S3:
    inside = f"http://{addresses.STORE_SERVICE}.{addresses.STORE_NAMESPACE}.svc.{addresses.CLUSTER_DOMAIN}:{addresses.STORE_PORT}"
    return S3(f"http://127.0.0.1:{port}", inside, keys["access_key"], keys["secret_key"])


def make_bucket(s3: S3) -> None:
    """Create the bucket as soon as the server answers. ClusterError with its answer where it refuses."""

    def made() -> bool:
        try:
            status, text = _put_bucket(s3)
        except OSError:  # not listening yet
            return False
        if status not in {http.HTTPStatus.OK, http.HTTPStatus.CONFLICT}:
            raise ClusterError(f"the store did not make bucket {s3.bucket}: {status} {text}")
        return True

    wait(made, READY_SECONDS, f"the store at {s3.host_endpoint} does not answer")


def _put_bucket(s3: S3) -> tuple[int, str]:
    """PUT /bucket, signed with AWS Signature Version 4 (AWS IAM user guide, "Create a signed AWS API request")."""
    host = s3.host_endpoint.removeprefix("http://")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{s3.region}/s3/aws4_request"
    empty = hashlib.sha256(b"").hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": stamp}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"PUT\n/{s3.bucket}\n\n{lines}\n{names}\n{empty}"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{s3.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={s3.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        connection.request("PUT", f"/{s3.bucket}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()
