"""A store that fails now and then, and one that is slow: the results are the same, and only later there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bramble.contracts.store import StoreConfig
from tests.compat.chain import Outcome, run_jobs, stock
from tests.compat.troubled_store import Trouble, troubled
from tests.unit.workloads import s3

pytestmark = [pytest.mark.compat, pytest.mark.timeout(1500)]


@pytest.fixture
def store_config(tmp_path: Path) -> Iterator[StoreConfig]:
    with s3.server(tmp_path / "store") as config:
        yield config


@pytest.mark.parametrize(
    "trouble",
    [pytest.param(Trouble(share=0.05), id="5 % of the requests fail"), pytest.param(Trouble(seconds=2.0), id="2 s of latency")],
)
def test_the_results_are_those_of_a_good_store(trouble: Trouble, store_config: StoreConfig, tmp_path: Path) -> None:
    outcomes: dict[str, Outcome] = {}
    for name in ("good", "troubled"):
        own = store_config._replace(prefix=f"{name}/")
        stock(own)
        if name == "good":
            outcomes[name] = run_jobs(own, tmp_path / name)
        else:
            with troubled(own, trouble) as behind:
                outcomes[name] = run_jobs(behind, tmp_path / name)
    good, found = outcomes["good"], outcomes["troubled"]
    print(f"{trouble.requests} requests, {trouble.failed} failed; {good.seconds:.1f} s without trouble, {found.seconds:.1f} s with it")
    assert (found.manifest, found.weights, found.scores, found.packages) == (good.manifest, good.weights, good.scores, good.packages)
    assert None not in found.packages
    assert (trouble.failed > 0) == (trouble.share > 0)
