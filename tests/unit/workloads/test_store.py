from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bramble.contracts.canonical import digest_of
from bramble.contracts.exit_codes import ExitCode
from bramble.contracts.store import StoreConfig, blob_key
from bramble.objectstore.bucket import Entry
from bramble_workloads.errors import Corrupt, KeyRefused, Missing, SpecError, StoreRefused, StoreUnavailable, TryAgain
from bramble_workloads.store import SMALL_COPY, Store

CONTENT = bytes(range(256)) * 10


def test_what_was_put_is_got_and_listed_in_order_of_key(store: Store) -> None:
    for key in ("a/2", "a/1", "b/1"):
        store.put(key, key.encode())
    assert store.get("a/2") == b"a/2"
    assert [(entry.key, entry.size) for entry in store.list("a/")] == [("a/1", 3), ("a/2", 3)]
    assert store.stat("a/3") is None


def test_no_proxy_that_a_pod_is_told_of_stands_between_a_job_and_its_store(
    store_config: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for told in (name, name.lower()):
            monkeypatch.setenv(told, "http://127.0.0.1:1")
    store = Store(store_config, retries=0)
    store.put("a", b"1")
    assert store.get("a") == b"1"


def test_keys_stay_below_the_prefix(store: Store, store_config: StoreConfig) -> None:
    store.put("a", b"1")
    assert Store(store_config._replace(prefix="")).get(f"{store_config.prefix}a") == b"1"
    for key in ("../a", "/a", "a/../../b"):
        with pytest.raises(SpecError, match="lies outside the namespace's prefix"):
            store.put(key, b"")


def test_a_conditional_put_writes_once(store: Store) -> None:
    assert store.put_once("once", b"1")
    assert not store.put_once("once", b"2")
    assert store.get("once") == b"1"


def test_a_missing_object_is_bad_data_that_names_it(store: Store, store_config: StoreConfig) -> None:
    with pytest.raises(Missing, match=f"s3://bramble/{store_config.prefix}gone is not in the store"):
        store.get("gone")


def test_a_blob_is_verified_on_every_read(store: Store, tmp_path: Path) -> None:
    digest = store.put_blob(CONTENT)
    assert store.get_blob(digest) == CONTENT
    store.put(blob_key(digest), b"damaged")
    with pytest.raises(Corrupt, match=digest):
        store.get_blob(digest)
    with pytest.raises(Corrupt, match=digest):
        store.download_blob(digest, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_files_travel_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(CONTENT * 3000)
    digest, size = store.upload_blob(tmp_path / "large")
    assert (digest, size) == (digest_of(CONTENT * 3000), len(CONTENT) * 3000)
    assert store.upload_blob(tmp_path / "large") == (digest, size)
    store.download_blob(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == CONTENT * 3000


@pytest.mark.parametrize("size", [100, SMALL_COPY, SMALL_COPY + 1])
def test_a_copied_blob_is_what_was_read(size: int, store: Store) -> None:
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    store.put("source", content)
    entry = store.stat("source")
    assert entry is not None
    store.copy_blob(entry, content, digest_of(content))
    assert store.get_blob(digest_of(content)) == content


def test_a_source_that_changed_while_it_was_read_is_tried_again(store: Store) -> None:
    content = b"x" * (SMALL_COPY + 1)
    store.put("source", content)
    entry = store.stat("source")
    assert entry is not None
    store.put("source", b"y" * (SMALL_COPY + 1))
    with pytest.raises(TryAgain, match="changed while it was read"):
        store.copy_blob(entry, content, digest_of(content))


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda store, entry: store.get_listed(entry), id="it is read"),
        pytest.param(lambda store, entry: store.copy_blob(entry, b"x" * entry.size, digest_of(b"x" * entry.size)), id="it is copied"),
    ],
)
def test_a_source_that_was_deleted_after_it_was_listed_is_tried_again(read: Callable[[Store, Entry], object], store: Store) -> None:
    store.put("source", b"x" * (SMALL_COPY + 1))
    (entry,) = store.list("source")
    store._client.remove_object(store.config.bucket, store.full("source"))
    with pytest.raises(TryAgain, match=f"{store.uri('source')} was deleted after it had been listed"):
        read(store, entry)


@pytest.mark.parametrize(
    ("changed", "refusal", "advice"),
    [
        ({"secret_key": "other"}, KeyRefused, "correct secretKey in Secret bramble-store"),
        ({"access_key": "nobody"}, KeyRefused, "accessKey"),
        ({"bucket": "no-such-bucket"}, StoreRefused, "correct bucket in Secret bramble-store"),
    ],
)
def test_a_refusal_says_what_to_correct_and_no_secret(
    changed: dict[str, str], refusal: type[Exception], advice: str, store_config: StoreConfig
) -> None:
    with pytest.raises(refusal, match=advice) as caught:
        Store(store_config._replace(**changed)).put("a", b"")
    assert store_config.endpoint in str(caught.value)
    assert store_config.secret_key not in str(caught.value)


@pytest.fixture
def old_key(store_folder: Path) -> Path:
    """The mounted Secret before the kubelet has brought the new key."""
    (store_folder / "secretKey").rename(store_folder / "new")
    (store_folder / "secretKey").write_text("old-key")
    return store_folder


def bring_new_key(folder: Path, monkeypatch: pytest.MonkeyPatch, looks: int = 3) -> list[float]:
    """Let the kubelet bring the new key after this many looks; the pauses between the looks so far."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == looks:
            (folder / "new").rename(folder / "secretKey")

    monkeypatch.setattr("bramble_workloads.store.time.sleep", pause)
    return pauses


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lambda store, _: store.put("a", b"1"), id="put"),
        pytest.param(lambda store, _: store.put_once("a", b"1"), id="conditional put"),
        pytest.param(lambda store, file: store.upload("a", file), id="upload"),
        pytest.param(lambda store, _: store.find("a"), id="read"),
        pytest.param(lambda store, _: store.stat("a"), id="stat"),
        pytest.param(lambda store, _: list(store.list("")), id="list"),
    ],
)
def test_a_key_that_was_rotated_is_read_again(
    request_: Callable[[Store, Path], object], old_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    store = Store.mounted()
    pauses = bring_new_key(old_key, monkeypatch)
    request_(store, tmp_path / "file")
    assert len(pauses) == 3
    store.put("b", b"2")
    assert len(pauses) == 3, "the new key is kept"


def test_threads_that_share_a_store_read_the_new_key_once(old_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.mounted()
    bring_new_key(old_key, monkeypatch, looks=1)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: store.put(f"a/{number}", b"1"), range(16)))
    assert len(list(store.list("a/"))) == 16


@pytest.mark.usefixtures("old_key")
def test_without_a_new_key_the_attempt_may_be_tried_again() -> None:
    with pytest.raises(KeyRefused, match="the secret key is wrong; correct secretKey") as caught:
        Store.mounted(key_seconds=0).put("a", b"")
    assert caught.value.code == ExitCode.TRY_AGAIN


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("bucket", "other", id="another bucket, where the job's objects are not"),
        pytest.param("endpoint", "", id="a Secret that lacks a key"),
    ],
)
def test_a_secret_that_a_job_cannot_go_on_with_is_not_taken(key: str, value: str, old_key: Path) -> None:
    store = Store.mounted(key_seconds=0)
    before = store.config
    (old_key / "new").rename(old_key / "secretKey")
    (old_key / key).write_text(value)
    with pytest.raises(KeyRefused):
        store.put("a", b"")
    assert store.config == before


def test_a_store_that_is_not_there_is_tried_again(store_config: StoreConfig) -> None:
    with pytest.raises(StoreUnavailable, match="did not answer"):
        Store(store_config._replace(endpoint="http://127.0.0.1:9"), retries=1).get("a")


def test_a_secret_that_lacks_a_key_is_a_spec_error(store_folder: Path) -> None:
    (store_folder / "bucket").unlink()
    with pytest.raises(SpecError, match="key 'bucket' is missing or empty"):
        Store.mounted()
