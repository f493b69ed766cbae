"""How to reach the S3 store of a namespace, and under which keys objects lie. Keys are relative to the namespace's own prefix.

This module imports the standard library only, because the init container and the sidecar of a training pod must start fast.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

SECRET_NAME = "bramble-store"
"""The Secret that every namespace brings. The operator may read no other Secret there."""


OWN_FOLDERS = frozenset({"blobs", "runs", "results", "decisions"})
"""The folders, directly below the namespace's prefix, that Bramble writes. All keys below begin with one of them."""


LARGEST_DOCUMENT = 8 * 1024 * 1024
"""Bytes of the largest result or other document that the operator reads."""


class StoreField(NamedTuple):
    """One key of the Secret. Where the Secret is mounted, it is a file of the same name."""

    key: str
    required: bool


FIELDS = (
    StoreField("endpoint", True),
    StoreField("bucket", True),
    StoreField("accessKey", True),
    StoreField("secretKey", True),
    StoreField("region", False),
    StoreField("prefix", False),
    StoreField("ca.crt", False),
)


class StoreError(ValueError):
    """The Secret lacks a key, or a key cannot be used. The message names the key and says what to write."""


class StoreConfig(NamedTuple):
    """A bucket and the credentials to use it.

    `endpoint` is a URL with scheme, `prefix` is empty or ends in a slash, `ca` is a PEM bundle or empty.
    """

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    prefix: str = ""
    ca: str = ""

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Self:
        """Read the decoded keys of the Secret.

        Raises:
            StoreError: a required key is missing or empty, or the endpoint is not a scheme, a host and an optional port.
        """
        for field in FIELDS:
            if values.get(field.key, "").strip():
                continue
            if (mistyped := _mistyped(field.key, values)) is not None:
                raise StoreError(f"Secret {SECRET_NAME}: there is a key {mistyped!r} and no {field.key!r}; correct its name")
            if field.required:
                raise StoreError(f"Secret {SECRET_NAME}: key {field.key!r} is missing or empty; add it")
        endpoint = values["endpoint"].strip()
        if not endpoint.startswith(("http://", "https://")):
            raise StoreError(f"Secret {SECRET_NAME}: endpoint {endpoint!r} has no scheme; write http://… or https://…")
        try:
            url = urlsplit(endpoint)
            host, _ = url.hostname, url.port
        except ValueError as error:
            raise StoreError(f"Secret {SECRET_NAME}: endpoint {endpoint!r}: {error}; write http(s)://host:port") from error
        if not host:
            raise StoreError(f"Secret {SECRET_NAME}: endpoint {endpoint!r} has no host; write http(s)://host:port")
        if url.path.strip("/"):
            raise StoreError(f"Secret {SECRET_NAME}: endpoint {endpoint!r} has a path; write scheme, host and port only")
        prefix = values.get("prefix", "").strip().strip("/")
        return cls(
            endpoint=endpoint,
            bucket=values["bucket"].strip(),
            access_key=values["accessKey"].strip(),
            secret_key=values["secretKey"].strip(),
            region=values.get("region", "").strip() or "us-east-1",
            prefix=f"{prefix}/" if prefix else "",
            ca=values.get("ca.crt", ""),
        )

    @classmethod
    def of_secret(cls, data: Mapping[str, str]) -> Self:
        """Read the `data` of the Secret as the API server gives it: base64.

        Raises:
            StoreError: as `parse`, or a value is not base64 of UTF-8.
        """
        try:
            values = {key: base64.b64decode(value).decode() for key, value in data.items()}
        except ValueError as error:
            raise StoreError(f"Secret {SECRET_NAME}: a value cannot be decoded: {error}") from error
        return cls.parse(values)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the Secret where the pod of a job has it mounted: one file for each key. Raises as `parse`."""
        return cls.parse({field.key: (folder / field.key).read_text() for field in FIELDS if (folder / field.key).is_file()})


ALIKE = 0.8
"""From this ratio of `difflib` on, a key that Bramble does not know counts as a mistyped one, such as `caCrt` for `ca.crt`."""


def _mistyped(key: str, values: Mapping[str, str]) -> str | None:
    """The unknown key that somebody probably wrote for this one; None if there is none."""
    known = {field.key for field in FIELDS}
    spelt = {other.lower(): other for other in values if other not in known}
    if not spelt:
        return None
    from difflib import get_close_matches  # it takes milliseconds, and a pod's mount has no unknown key

    found = get_close_matches(key.lower(), spelt, n=1, cutoff=ALIKE)
    return spelt[found[0]] if found else None


def no_secret(namespace: str) -> str:
    """The message about a namespace without the Secret."""
    return f"namespace {namespace} has no Secret {SECRET_NAME}; create it with endpoint, bucket, accessKey and secretKey"


def blob_key(digest: str) -> str:
    """The key of a blob, which never changes."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def run_prefix(kind: str, namespace: str, name: str, uid: str, step: str, attempt: int) -> str:
    """The folder that one attempt at a step of an object may write to. It ends in a slash."""
    return f"runs/{kind.lower()}/{namespace}/{name}/{uid}/{step}/{attempt}/"


def result_key(prefix: str) -> str:
    """The result of an attempt, which is written last. It is the authority on what the attempt produced."""
    return f"{prefix}result.json"


def filed_result_key(step: str, inputs: str) -> str:
    """A copy of the result under the digest of its inputs, so that a restored cluster does not do the work again."""
    return f"results/{step}/{inputs.removeprefix('sha256:')}.json"


def cause_key(prefix: str, node_rank: int) -> str:
    """Why one pod of an attempt failed, as a `Cause`."""
    return f"{prefix}causes/{node_rank}.json"


def output_key(prefix: str) -> str:
    """The listing of what an attempt's program left in `$BRAMBLE_OUT`, as a `TrainingOutput`. It is written after the files."""
    return f"{prefix}output.json"


def log_key(prefix: str, rank: int) -> str:
    """The last 10 MiB of the output of one rank."""
    return f"{prefix}logs/rank-{rank}.log"


def checkpoints_prefix(prefix: str) -> str:
    """The folder with checkpoints: the files of each lie below `step-<n>/`, and its marker `step-<n>.json` is written last."""
    return f"{prefix}checkpoints/"
