"""Documents from a store are parsed in memory that does not depend on what is wrong with them, and told in few words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bramble.contracts.canonical import digest_of
from bramble_workloads.errors import WorkloadError
from bramble_workloads.evaluate.samples import read_manifest
from bramble_workloads.processing.package import read_package
from bramble_workloads.snapshot.previous import read_previous
from bramble_workloads.store import Store

OUTPUTS = b'{"outputs":[%s]}' % b",".join([b"{}"] * 20_000)
COUNTS = b'{"counts":{"train":{%s}}}' % b",".join(b'"%d":"x"' % number for number in range(60_000))
"""Documents without most of their fields, and with many wrong items."""


def package(store: Store, digest: str, folder: Path) -> object:
    del folder
    return read_package(store.get_blob, digest)


def manifest(store: Store, digest: str, folder: Path) -> object:
    del folder
    return read_manifest(store.get_blob, digest)


@pytest.mark.parametrize(
    ("read", "content"),
    [
        pytest.param(package, OUTPUTS, id="a package"),
        pytest.param(manifest, COUNTS, id="a manifest"),
        pytest.param(read_previous, COUNTS, id="the manifest of the previous version"),
        pytest.param(package, b" " * 70_000, id="a package that is too large"),
        pytest.param(manifest, b"[" * 250_000, id="a manifest of too many parts"),
    ],
)
def test_a_wrong_document_is_told_in_few_words(
    read: Callable[[Store, str, Path], object], content: bytes, store: Store, tmp_path: Path
) -> None:
    store.put_blob(content)
    with pytest.raises(WorkloadError, match=r"it has \d+ (faults|bytes of at most|parts of at most)") as raised:
        read(store, digest_of(content), tmp_path)
    assert len(str(raised.value)) < 400
