"""Presigned URLs are those of the S3 client, for every kind of endpoint and key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from minio import Minio

from bramble.contracts.store import StoreConfig
from bramble.objectstore.presigner import LIFE, Presigner

CONFIG = StoreConfig(endpoint="http://s3.example:9000", bucket="bramble", access_key="a/+=key", secret_key="s" * 8, region="eu-central-1")
BEGIN = datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)


def client(config: StoreConfig) -> Minio:
    scheme, _, address = config.endpoint.partition("://")
    return Minio(address, config.access_key, config.secret_key, region=config.region, secure=scheme == "https")


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(CONFIG, id="a host with a port"),
        pytest.param(CONFIG._replace(endpoint="https://s3.example", region="us-east-1"), id="TLS"),
        pytest.param(CONFIG._replace(endpoint="https://s3.eu-central-1.amazonaws.com"), id="AWS has a host for each bucket"),
        pytest.param(CONFIG._replace(endpoint="https://s3.eu-central-1.amazonaws.com", bucket="a.bucket"), id="AWS, a bucket with a dot"),
    ],
)
@pytest.mark.parametrize("key", ["a", "ads/raw/a b/x.jpg", "ä/日本/~-_.!*'()", "a%2Fb+c=d&e?f#g", "a//b", "example", "x" * 900])
def test_a_url_is_the_clients(config: StoreConfig, key: str) -> None:
    theirs, times = client(config), [BEGIN]
    presigner = Presigner(config, theirs, lambda: times[-1].timestamp() + 0.5)
    for method, second in (("GET", 58), ("PUT", 58), ("PUT", 59)):
        times.append(BEGIN.replace(second=second))
        expected = theirs.get_presigned_url(method, config.bucket, key, expires=LIFE, request_date=times[-1])
        assert presigner.url(method, key) == expected
        assert presigner.origin + presigner.target(method, key) == expected


def test_a_new_day_has_a_new_key() -> None:
    theirs, times = client(CONFIG), [BEGIN]
    presigner = Presigner(CONFIG, theirs, lambda: times[-1].timestamp() + 0.5)
    presigner.url("GET", "a")
    times.append(datetime(2027, 1, 1, tzinfo=UTC))
    assert presigner.url("GET", "a") == theirs.get_presigned_url("GET", CONFIG.bucket, "a", expires=LIFE, request_date=times[-1])


@pytest.mark.parametrize("key", ["a/./b", "../a"])
def test_a_key_that_no_object_can_have_is_refused_as_by_the_client(key: str) -> None:
    presigner = Presigner(CONFIG, client(CONFIG))
    with pytest.raises(ValueError, match=r"not supported"):
        presigner.url("GET", key)
