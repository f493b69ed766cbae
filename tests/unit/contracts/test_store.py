"""The Secret of a store: what is read, and what is refused with a word on how to correct it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from bramble.contracts.store import StoreConfig, StoreError

VALUES = {"endpoint": "https://s3.example:9000", "bucket": "bramble", "accessKey": "a", "secretKey": "s"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, {"prefix": "", "region": "us-east-1"}, id="the optional keys are missing"),
        pytest.param({"prefix": "/ads/2026/"}, {"prefix": "ads/2026/"}, id="slashes around the prefix do not matter"),
        pytest.param({"prefix": " / "}, {"prefix": ""}, id="a prefix of nothing"),
        pytest.param({"region": " eu-south-1 "}, {"region": "eu-south-1"}, id="blanks around a value do not matter"),
        pytest.param({"BUCKET_NAME": "x", "AWS_REGION": "eu", "username": "u"}, {"region": "us-east-1"}, id="keys of other programs"),
        pytest.param({"region": "eu", "regoin": "us"}, {"region": "eu"}, id="a key that is there under both names"),
        pytest.param({"endpoint": "https://s3.example/"}, {"endpoint": "https://s3.example/"}, id="an endpoint that ends in a slash"),
    ],
)
def test_the_secret_is_read(changed: dict[str, str], expected: dict[str, str]) -> None:
    found = StoreConfig.parse({**VALUES, **changed})._asdict()
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"bucket": ""}, "key 'bucket' is missing or empty; add it", id="an empty key"),
        pytest.param({"secretKey": " "}, "key 'secretKey' is missing or empty; add it", id="a blank key"),
        pytest.param({"secretKey": "", "secretkey": "s"}, "a key 'secretkey' and no 'secretKey'; correct its name", id="a mistyped key"),
        pytest.param({"Region": "eu"}, "a key 'Region' and no 'region'", id="a mistyped optional key"),
        pytest.param({"caCrt": "-----BEGIN"}, "a key 'caCrt' and no 'ca.crt'", id="a certificate under another name"),
        pytest.param({"perfix": "ads/"}, "a key 'perfix' and no 'prefix'", id="a prefix under another name"),
        pytest.param({"endpoint": "s3.example"}, "has no scheme; write", id="an endpoint without a scheme"),
        pytest.param({"endpoint": "http://[fd00::1:9000"}, "Invalid IPv6 URL; write http", id="an endpoint whose bracket is open"),
        pytest.param({"endpoint": "http://s3.example:https"}, "Port .* write http", id="an endpoint whose port is no number"),
        pytest.param({"endpoint": "http://"}, "has no host; write http", id="an endpoint without a host"),
        pytest.param({"endpoint": "https://s3.example/minio"}, "has a path; write scheme, host", id="an endpoint with a path"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused(changed: dict[str, str], problem: str) -> None:
    with pytest.raises(StoreError, match=f"Secret bramble-store: .*{problem}"):
        StoreConfig.parse({**VALUES, **changed})


def test_the_secret_is_the_same_from_the_api_server_and_from_its_mount(tmp_path: Path) -> None:
    for name, value in VALUES.items():
        (tmp_path / name).write_text(value)
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in VALUES.items()}
    assert StoreConfig.of_secret(encoded) == StoreConfig.read(tmp_path) == StoreConfig.parse(VALUES)


@pytest.mark.parametrize("value", ["/w==", "not base64"])
def test_a_value_of_the_secret_that_is_no_text_is_refused(value: str) -> None:
    with pytest.raises(StoreError, match="cannot be decoded"):
        StoreConfig.of_secret({"endpoint": value})
