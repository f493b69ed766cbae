"""The operator is killed at its writes, along the whole path from pictures to a fleet, and back to nothing.

Every run ends in the same state: no child twice, no run trained twice, no memory lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.chain import FLEET_LABEL, Chain, creations, manifests
from tests.chaos.operator_process import NAMESPACE

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1200)]

DATASET, RUN, MODEL, ROLLOUT = ("Dataset", "digits-1"), ("TrainingRun", "digits-1"), ("ModelVersion", "digits-1-0-0"), ("Rollout", "digits")
EDGE = "bramble-edge"

KINDS = ("Dataset", "TrainingRun", "ModelVersion", "Fleet", "Rollout")
STEPS = ("snapshot", "train", "evaluate", "convert")
"""Each of these Jobs runs once in the whole path, whoever dies."""


@pytest.fixture
def fleet(chain: Chain) -> Iterator[str]:
    """The boards belong to this chain's fleet."""
    boards = [name for name in chain.cluster.nodes if name.startswith("board-")]
    for name in boards:
        chain.cluster.kubectl("label", "node", name, f"{FLEET_LABEL}={chain.namespace}", "--overwrite")
    yield chain.namespace
    for name in boards:
        chain.cluster.kubectl("label", "node", name, f"{FLEET_LABEL}-")


def travel(chain: Chain, fleet: str) -> None:
    """From pictures to a fleet that serves, all of it applied at once."""
    chain.operator.authorize("bramble-gateway-tls")
    chain.stock()
    chain.apply(manifests("01-fleet.yaml", fleet)["Fleet"])
    for manifest in manifests("02-first.yaml", chain.namespace).values():
        chain.apply(manifest)
    for kind, name, type_ in ((*DATASET, "Ready"), (*RUN, "Complete"), (*MODEL, "Ready"), (*ROLLOUT, "Ready")):
        chain.until(kind, name, type_, 400)
    chain.quiet()


def leave(chain: Chain, fleet: str) -> None:
    """Everything is deleted again, the Rollout first: devices stop serving its model before it goes."""
    for kind, name in (ROLLOUT, MODEL, RUN, DATASET, ("Fleet", fleet)):
        chain.delete(kind, name, 120)
    chain.quiet()
    owned = f"bramble.dev/owner-namespace={chain.namespace}"
    assert chain.cluster.list("configmaps", NAMESPACE, owned) == [], "an assignment outlived its Rollout"
    assert chain.cluster.list("nodes", None, f"{FLEET_LABEL}={fleet},bramble.dev/agent") == [], "a node is still its fleet's"


def unspent(status: dict[str, Any]) -> bool:
    """Whether no budget was spent from; one that never was need not be stored."""
    return not status.get("failures") and not status.get("disruptions")


def check_memory(chain: Chain) -> None:
    """What nobody but memory knows is what one undisturbed pass through the path would have left."""
    dataset, run, model, rollout = (chain.get(*which)["status"] for which in (DATASET, RUN, MODEL, ROLLOUT))
    assert dataset["attempt"] == 1
    assert unspent(dataset)
    assert [version["version"] for version in dataset["versions"]] == [dataset["version"]]
    assert (run["attempt"], run["evaluating"]["attempt"]) == (1, 1)
    assert unspent(run)
    assert run["dataset"]["version"] == dataset["version"]
    assert run["modelVersion"] == MODEL[1]
    assert {target["fleet"] for target in model["targets"]} == {chain.namespace}
    assert rollout["attempt"] == 1
    assert rollout["stable"]["ref"] == MODEL[1]
    chain.check_memory_only_grew()


def check_children(chain: Chain) -> None:
    """By the API server's own account."""
    made = creations(chain.cluster.audit_log, {chain.namespace, EDGE, NAMESPACE})
    children = {child: count for child, count in made.items() if child.resource != "events"}
    twice = {child: count for child, count in children.items() if count > 1 and not child.name.startswith("agent-")}
    assert not twice, f"a child was made twice: {twice}"
    jobs = [child.name for child in children if child.resource == "jobs" and child.namespace == chain.namespace]
    for step in STEPS:
        assert len([name for name in jobs if f"-{step}-" in name]) == 1, f"{step}: {jobs}"


def check_kills(chain: Chain, moments: set[str]) -> None:
    """Every site of every kind killed once, and none twice."""
    killed = chain.killed()
    deadly = {site for site in chain.passed() if site.split(":")[0] in moments}
    assert set(killed) == deadly, f"passed and never deadly: {sorted(deadly - set(killed))}"
    assert len(killed) == len(set(killed))
    assert chain.lives == len(killed) + 1
    assert {site.split(":")[1].split("/")[0] for site in killed} == set(KINDS)


def test_killed_once_at_every_write(chain: Chain, fleet: str) -> None:
    """After each write has landed and before anything is made of the answer: what came of it must be found again."""
    chain.live(fault="after:*", fault_log=str(chain.operator.sites))
    travel(chain, fleet)
    check_memory(chain)
    check_children(chain)
    leave(chain, fleet)
    check_kills(chain, {"after"})


@pytest.mark.chaos
def test_killed_before_and_after_every_write(chain: Chain, fleet: str) -> None:
    chain.live(fault="*", fault_log=str(chain.operator.sites))
    travel(chain, fleet)
    check_memory(chain)
    check_children(chain)
    leave(chain, fleet)
    check_kills(chain, {"before", "after"})
