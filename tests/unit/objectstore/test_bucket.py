"""What the common client refuses before it sends a request, and how it says what a person must correct."""

from __future__ import annotations

import pytest

from bramble.contracts.store import StoreConfig, StoreError
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.kube.store import NamespaceStore
from bramble.objectstore.addresses import Addresses
from bramble.objectstore.trust import trust

CONFIG = StoreConfig(endpoint="https://s3.example", bucket="bramble", access_key="a", secret_key="s" * 8, prefix="ads/")
ADDRESSES = Addresses((), "https://192.0.2.1:6443")
STORE = NamespaceStore(CONFIG, "ads", ADDRESSES)


@pytest.mark.parametrize("key", ["/a", "../a", "a/../../b", "a/.."])
def test_a_key_outside_the_prefix_is_refused(key: str) -> None:
    for send in (STORE.get, STORE.find, STORE.stat, lambda key: STORE.put(key, b""), lambda key: STORE.put_once(key, b""),
                 lambda key: STORE.presigned("GET", key), lambda key: list(STORE.list(key))):  # fmt: skip
        with pytest.raises(StoreRefused, match="lies outside the namespace's prefix"):
            send(key)


@pytest.mark.parametrize("key", ["a..b", "..a", "a/...", "a"])
def test_a_key_below_the_prefix_is_taken(key: str) -> None:
    assert STORE.full(key) == f"ads/{key}"
    assert f"/ads/{key}?" in STORE.presigned("GET", key)


def test_stores_without_a_ca_of_their_own_share_the_systems_trust() -> None:
    """Its authorities take three quarters of a megabyte, which hundreds of namespaces could not afford."""
    assert trust(CONFIG) is trust(CONFIG._replace(bucket="other"))
    assert trust(CONFIG._replace(endpoint="http://s3.example")) is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"ca": "no PEM"}, "ca.crt is not a PEM bundle", id="a certificate bundle that is none"),
        pytest.param({"bucket": "A bucket?"}, "invalid bucket name", id="a name that no bucket can have"),
    ],
)
def test_what_no_client_can_be_made_of_is_named_before_a_request(changed: dict[str, str], problem: str) -> None:
    store = NamespaceStore(CONFIG._replace(**changed), "ads", ADDRESSES)
    with pytest.raises(StoreError, match=f"(?i){problem}.*; correct Secret bramble-store of namespace ads"):
        store.check()
    with pytest.raises(StoreRefused, match=f"(?i){problem}"):
        store.get("a")


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        pytest.param(403, "AccessDenied", StoreRefused, "give the key of Secret bramble-store of namespace ads s3:GetObject", id="advice"),
        pytest.param(400, "New", StoreRefused, "refuses the request with New: odd; check endpoint", id="no advice: the store's own words"),
        pytest.param(403, "RequestTimeTooSkewed", StoreUnavailable, "the store; set the time of the node$", id="a wrong clock"),
        pytest.param(503, "SlowDown", StoreUnavailable, "answered 503 SlowDown odd", id="busy"),
        pytest.param(404, "NoSuchKey", STORE.absent, "s3://bramble/ads/k is not in the store", id="absent"),
    ],
)
def test_a_problem_names_the_object_the_store_and_what_to_do(status: int, code: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        raise STORE.problem("k", status, code, "odd")


def test_silence_is_a_store_that_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match=r"https://s3\.example did not answer: TimeoutError"):
        raise STORE.silence("k", TimeoutError())
