"""A namespace as its owner would prepare it: a Secret that names its store, and raw pictures where somebody's scanner left them."""

from __future__ import annotations

import io
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from minio import Minio

from examples.digits.pictures import objects
from tools.cluster.providers.base import AnyCluster
from tools.cluster.store import S3

UPLOADS = 16


def stock(cluster: AnyCluster, namespace: str, collections: Collection[str] = ("1", "2", "3"), *, s3: S3 | None = None) -> int:
    """Make the namespace and its Secret, and upload some of the collections; the number of objects.

    `s3` is the store; the cluster's own when it is None.
    """
    s3, prefix = s3 or cluster.s3, f"{namespace}/"
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    cluster.apply(store_secret(namespace, s3))
    host = s3.host_endpoint.removeprefix("http://")
    client = Minio(endpoint=host, access_key=s3.access_key, secret_key=s3.secret_key, secure=False, region=s3.region)

    def put(item: tuple[str, bytes]) -> None:
        client.put_object(bucket_name=s3.bucket, object_name=prefix + item[0], data=io.BytesIO(item[1]), length=len(item[1]))

    chosen = [item for item in objects() if item[0].split("/")[1] in collections]
    with ThreadPoolExecutor(UPLOADS) as pool:
        return sum(1 for _ in pool.map(put, chosen))


def store_secret(namespace: str, s3: S3) -> dict[str, Any]:
    """The Secret that names the namespace's store, and a prefix of its own there."""
    keys = {"endpoint": s3.pod_endpoint, "bucket": s3.bucket, "region": s3.region, "prefix": f"{namespace}/"}
    keys |= {"accessKey": s3.access_key, "secretKey": s3.secret_key}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bramble-store", "namespace": namespace}, "stringData": keys}


def freeze(cluster: AnyCluster, namespace: str, collection: str, *, s3: S3 | None = None) -> None:
    """The same with one collection, and a Dataset `digits` of it; back once that is frozen."""
    stock(cluster, namespace, (collection,), s3=s3)
    source = {"name": "scans", "s3": {"prefix": f"digits/{collection}/"}, "format": "image-folder"}
    metadata, spec = {"name": "digits", "namespace": namespace}, {"task": "image-classification", "sources": [source]}
    cluster.apply({"apiVersion": "bramble.dev/v1alpha1", "kind": "Dataset", "metadata": metadata, "spec": spec})
    cluster.kubectl("wait", "--for=condition=Ready", "dataset/digits", f"--namespace={namespace}", "--timeout=90s")
