"""Presigned URLs of one bucket (AWS Signature Version 4), made in less time than the S3 client takes for each.

A snapshot signs two requests for each picture. The client finds host and region anew for each; the signature itself is made by its signer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from bramble.contracts.store import StoreConfig

if TYPE_CHECKING:
    from minio import Minio

LIFE = timedelta(minutes=15)
"""How long a request is valid. This is long enough for clocks that differ. A link is only used in the process that made it."""
EXAMPLE = "example"


class Presigner:
    """Signs requests for the objects of a bucket. Threads may share an instance.

    Args:
        config: the key, and the bucket.
        client: knows under which host and path the store has the bucket.
        clock: seconds since 1970.

    Attributes:
        origin: the scheme and the host that the requests must be sent to, such as `https://bucket.s3.eu-west-1.amazonaws.com`.

    Raises:
        ValueError: the store cannot have such a bucket.
    """

    def __init__(self, config: StoreConfig, client: Minio, clock: Callable[[], float] = time.time) -> None:
        from minio.credentials.credentials import Credentials
        from minio.helpers import check_object_name
        from minio.signer import presign_v4

        self._check, self._sign = check_object_name, presign_v4
        self._region, self._clock = config.region, clock
        self._credentials = Credentials(config.access_key, config.secret_key)
        self._bucket = urlsplit(client.get_presigned_url("GET", config.bucket, EXAMPLE))._replace(query="")
        self._base = self._bucket.path.removesuffix(EXAMPLE)
        self.origin = f"{self._bucket.scheme}://{self._bucket.netloc}"

    def url(self, method: str, key: str) -> str:
        """The URL of a signed request, which needs no header but `Host`.

        Raises:
            ValueError: no object can have this key.
        """
        return self.origin + self.target(method, key)

    def target(self, method: str, key: str) -> str:
        """The same without the origin: what the first line of the request names."""
        self._check(key)
        signed = self._sign(
            method=method,
            url=self._bucket._replace(path=self._base + quote(key)),
            region=self._region,
            credentials=self._credentials,
            date=datetime.fromtimestamp(self._clock(), UTC),
            expires=int(LIFE.total_seconds()),
        )
        return f"{signed.path}?{signed.query}"
