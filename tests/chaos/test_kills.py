"""The operator is killed at its writes; every run ends in the same state: no child twice, no run trained twice, no memory lost."""

from __future__ import annotations

import pytest

from tests.chaos.chain import Chain, creations, manifests

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(600)]


def freeze(chain: Chain) -> None:
    """A Dataset: pictures checked and frozen by a real Job."""
    chain.stock()
    chain.apply(manifests("02-first.yaml", chain.namespace)["Dataset"])
    found = chain.until("Dataset", "digits-1", "Ready", 240)
    status = found["status"]
    assert (status["attempt"], status["failures"], status["disruptions"]) == (1, 0, 0), "a kill of the operator cost an attempt"
    assert len(status["versions"]) == 1
    assert status["version"] == status["versions"][0]["version"]


def check_children(chain: Chain) -> None:
    made = {child: count for child, count in creations(chain.cluster.audit_log, chain.namespace).items() if child[0] != "events"}
    assert made, "the audit log names no child"
    assert set(made.values()) == {1}, f"a child was made twice: {made}"


def test_every_write_of_a_dataset_killed_once(chain: Chain) -> None:
    """Before and after each site, along one path: after each death the next life goes on where the last ended."""
    chain.live(fault="*", fault_log=str(chain.operator.sites))
    freeze(chain)
    chain.quiet()
    killed, passed = chain.killed(), chain.passed()
    assert set(killed) == passed, "a site was passed that never killed"
    assert len(killed) == len(set(killed)), "a site killed twice"
    assert chain.lives == len(killed) + 1
    assert {"before:Dataset/create/Job/snapshot", "after:Dataset/create/Job/snapshot", "after:Dataset/remember/Dataset"} <= passed
    check_children(chain)
