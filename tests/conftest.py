"""What all tests share: the local cluster's fixtures, and which tests several processes may run side by side."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from bramble.contracts.pod import TELEMETRY_OFF
from tools.cluster.kinds import serve_kinds
from tools.cluster.providers.base import AnyCluster

os.environ.update(TELEMETRY_OFF)  # before any test imports a library that would report to its maker

# Hundreds of tests start a process, and without byte code on the disk each of these compiles all that it imports: a container often sets
# this variable for its image's sake, and an image has its byte code already.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = ["tools.cluster.fixture"]

# What a machine has no time for is no failure of a property; and a run that found nothing is the same run the next time. `make chaos`
# looks further, at other examples each time.
settings.register_profile("other", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("other"), derandomize=True)
settings.load_profile("same")


@pytest.fixture(scope="session")
def served_kinds(api_cluster: AnyCluster) -> AnyCluster:
    """An API server that serves our kinds.

    Both the tests of the kinds and those of the chart begin with it. kubectl therefore owns the fields of the kinds before Helm takes them
    over, whatever the order of the tests: the other way round, each later upgrade by Helm would be a conflict.
    """
    serve_kinds(api_cluster)
    return api_cluster


LONG_FIRST = ("tests/chaos/", "tests/e2e/", "tests/unit/telemetry/", "tests/unit/workloads/")
"""Folders with the longest tests: begun first, so that no process is left alone with them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first; otherwise the order stays."""
    items.sort(key=lambda item: next((place for place, name in enumerate(LONG_FIRST) if item.nodeid.startswith(name)), len(LONG_FIRST)))


ONE_PROCESS = (("tests/e2e/",), ("tests/chaos/", "tests/api/", "tests/engine/", "tests/chart/"))
"""Folders whose tests share a process, and with it a cluster.

A cluster with nodes runs beside other tests, since its tests wait more than they compute. A kernel has inotify instances for two such
clusters by default, and then for no third, not even a small one. Each ends with its folder, so the small one starts after that of the
chaos tests.
"""


class OneProcessForACluster(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Every file is a unit of work, and each group of the folders above is one."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folders[0] for folders in ONE_PROCESS if nodeid.startswith(folders)), None) or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneProcessForACluster:
    return OneProcessForACluster(config, log)
