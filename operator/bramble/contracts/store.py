"""Where things lie in the S3 store, and how to reach it. Keys here are below the namespace's own prefix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

SECRET_NAME = "bramble-store"
"""The Secret a namespace brings: the only one the operator may read there."""


class StoreField(NamedTuple):
    """One key of the Secret, and the file of the same name where it is mounted."""

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
    """The Secret lacks a key or holds one that cannot be used; the message names the key and the fix."""


class StoreConfig(NamedTuple):
    """A bucket and the right to use it.

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
            StoreError: a required key is missing or empty, or the endpoint has no http(s) scheme.
        """
        for field in FIELDS:
            if field.required and not values.get(field.key, "").strip():
                raise StoreError(f"Secret {SECRET_NAME}: key {field.key!r} is missing or empty; add it")
        endpoint = values["endpoint"].strip()
        if not endpoint.startswith(("http://", "https://")):
            raise StoreError(f"Secret {SECRET_NAME}: endpoint {endpoint!r} has no scheme; write http://… or https://…")
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
    def read(cls, folder: Path) -> Self:
        """Read the Secret where a job's pod has it mounted, one file a key."""
        return cls.parse({field.key: (folder / field.key).read_text() for field in FIELDS if (folder / field.key).is_file()})


def no_secret(namespace: str) -> str:
    """What a namespace without a store is told."""
    return f"namespace {namespace} has no Secret {SECRET_NAME}; create it with endpoint, bucket, accessKey and secretKey"


def blob_key(digest: str) -> str:
    """The key of an immutable blob."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def run_prefix(kind: str, namespace: str, name: str, uid: str, step: str, attempt: int) -> str:
    """The folder that one attempt at one step of one object may write to. Ends in a slash."""
    return f"runs/{kind.lower()}/{namespace}/{name}/{uid}/{step}/{attempt}/"


def result_key(prefix: str) -> str:
    """The authority on what an attempt gave: written last, below its run prefix."""
    return f"{prefix}result.json"


def filed_result_key(step: str, inputs: str) -> str:
    """The same result filed under the digest of what produced it, so that a restored cluster does not work twice."""
    return f"results/{step}/{inputs.removeprefix('sha256:')}.json"


def cause_key(prefix: str, node_rank: int) -> str:
    """What one training pod's launcher knows of its failure, as a `Cause`."""
    return f"{prefix}causes/{node_rank}.json"


def log_key(prefix: str, rank: int) -> str:
    """The last 10 MiB of one rank's output."""
    return f"{prefix}logs/rank-{rank}.log"


def checkpoints_prefix(prefix: str) -> str:
    """One folder a checkpoint below it: `step-<n>/…` and, last, the marker `step-<n>.json`."""
    return f"{prefix}checkpoints/"
