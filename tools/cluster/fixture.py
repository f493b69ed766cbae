"""The local cluster for pytest: `cluster` with nodes, `api_cluster` with the API server alone.

Loaded as a plugin (`-p tools.cluster.fixture`). In this order, `cluster` is
- the kube context named by `--kube-context` or BRAMBLE_KUBE_CONTEXT, where what needs the machine under the nodes is skipped;
- the detached cluster named by BRAMBLE_CLUSTER (`python -m tools.cluster up --name dev`), left running, with images
  of the code as it is now;
- one of its own, attached: it ends with pytest, however that ends.
A failed test leaves what helps to understand it in build/failures/<test>/.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tools.cluster import lifecycle
from tools.cluster.cluster import Cluster
from tools.cluster.errors import ClusterError, NotSupported
from tools.cluster.lifecycle import REPOSITORY
from tools.cluster.process import tail
from tools.cluster.providers.base import AnyCluster
from tools.cluster.providers.existing_cluster import ExistingCluster
from tools.cluster.shape import Shape

FAILURES = REPOSITORY / "build" / "failures"
MAX_DUMPS = 10
"""The newest are kept: a session whose every test fails leaves no gigabytes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kube-context",
        default=os.environ.get("BRAMBLE_KUBE_CONTEXT"),
        metavar="NAME",
        help="run cluster tests on this context of the kubeconfig instead of a local cluster (default: $BRAMBLE_KUBE_CONTEXT)",
    )


def _progress(request: pytest.FixtureRequest) -> Any:
    """Lines on the terminal, past pytest's capture, since a first start builds for minutes."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    return reporter.write_line if reporter is not None else lambda _: None


def _running(request: pytest.FixtureRequest) -> AnyCluster | None:
    """A cluster that was there before this session."""
    context = request.config.getoption("--kube-context")
    if context:
        return ExistingCluster(context)
    name = os.environ.get("BRAMBLE_CLUSTER")
    if not name:
        return None
    found = Cluster.named(name)
    if not found.shape.api_only:
        found.refresh_images(_progress(request))
    return found


def with_nodes(request: pytest.FixtureRequest) -> Iterator[AnyCluster]:
    """A cluster with nodes for as long as the scope of the fixture that this is made: tests use a namespace of their own."""
    running = _running(request)
    if running is not None:
        yield running
        return
    with Cluster.up(progress=_progress(request)) as started:
        yield started
        ended = started.status()["restarted"]
        if ended:
            last = "\n".join(f"{name}:\n{tail(started.state.log(name))}" for name in ended)
            pytest.fail(f"components of the cluster ended by themselves (how often: {ended})\n{last}", pytrace=False)


cluster = pytest.fixture(with_nodes, scope="session", name="cluster")


@pytest.fixture(scope="session")
def api_cluster(request: pytest.FixtureRequest) -> Iterator[AnyCluster]:
    """An API server: for CRDs, admission, watches. No nodes, no controllers (namespaces are never emptied): names must be unique."""
    running = _running(request)
    if running is not None:
        yield running
        return
    with Cluster.up(Shape(api_only=True), progress=_progress(request)) as started:
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when != "teardown":
        for each in _clusters_of(item):
            _dump(each, item, report)
    return report


def _skip_what_is_not_supported() -> Generator[None, None, None]:
    """What an existing cluster cannot do is a skip, with the reason."""
    try:
        yield
    except NotSupported as reason:
        pytest.skip(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    yield from _skip_what_is_not_supported()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    yield from _skip_what_is_not_supported()


def _clusters_of(item: pytest.Item) -> Iterator[AnyCluster]:
    values = getattr(item, "funcargs", {})
    for name in ("cluster", "api_cluster"):
        if isinstance(values.get(name), Cluster | ExistingCluster):
            yield values[name]


def _dump(cluster: AnyCluster, item: pytest.Item, report: pytest.TestReport) -> None:
    folder = FAILURES / re.sub(r"[^A-Za-z0-9._-]+", "-", item.nodeid)[-120:]
    try:
        shutil.rmtree(folder, ignore_errors=True)
        report.sections.append(("cluster", f"state of the cluster is in {cluster.dump(folder).relative_to(REPOSITORY)}"))
        for old in sorted(FAILURES.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)[MAX_DUMPS:]:
            shutil.rmtree(old)
    except (ClusterError, OSError) as error:
        report.sections.append(("cluster", f"its state could not be saved: {error}"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Clusters whose owners were killed are cleared away."""
    if not session.config.getoption("collectonly") and not hasattr(session.config, "workerinput"):
        lifecycle.sweep(lambda _: None)
