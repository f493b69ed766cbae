from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble.contracts.store import StoreConfig
from bramble_workloads.store import Store
from tests.unit.workloads import s3
from tests.unit.workloads.pods import mount

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreConfig]:
    """One server for all tests; each test gets a prefix of its own from `store_config`."""
    with s3.server(tmp_path_factory.mktemp("s3")) as config:
        yield config


@pytest.fixture
def store_config(s3_config: StoreConfig) -> StoreConfig:
    return s3_config._replace(prefix=f"ns-{next(_numbers)}/")


@pytest.fixture
def store(store_config: StoreConfig) -> Store:
    return Store(store_config)


@pytest.fixture
def store_folder(store_config: StoreConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's Secret as a pod has it mounted."""
    monkeypatch.setenv("BRAMBLE_STORE_FOLDER", str(tmp_path / "secret"))
    return mount(store_config, tmp_path / "secret")
