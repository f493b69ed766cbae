"""A Dataset on real nodes: what is wrong with the pictures is named, and an object that goes takes its Job with it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.chain import Chain, condition, manifests
from tools.cluster.waiting import wait

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SECONDS = 120.0


def manifest(chain: Chain, **spec: Any) -> dict[str, Any]:
    made = manifests("02-first.yaml", chain.namespace)["Dataset"]
    made["spec"] |= spec
    return made


def until_reason(chain: Chain, type_: str, reason: str) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        found = chain.get("Dataset", "digits-1")
        return found if condition(found, type_).get("reason") == reason else None

    return wait(reached, SECONDS, lambda: chain.describe("Dataset", "digits-1"), interval=0.2) or {}


def test_a_corrupt_picture_blocks_and_is_named_and_a_new_snapshot_mends_it(chain: Chain) -> None:
    chain.stock()
    chain.put("digits/1/0/broken.png", b"\x89PNG\r\n\x1a\nnot a picture")
    chain.live()
    chain.apply(manifest(chain))
    found = until_reason(chain, "ChecksPassed", "ChecksFailed")
    assert condition(found, "Ready")["status"] == "False"
    assert any("0/broken.png" in sample for finding in found["status"]["findings"] for sample in finding["samples"])
    first = found["status"]["version"]
    chain.remove("digits/1/0/broken.png")
    request = 'bramble.dev/request={"id": "mended", "action": "snapshot"}'
    chain.cluster.kubectl("annotate", "dataset", "digits-1", f"--namespace={chain.namespace}", request)
    found = until_reason(chain, "Ready", "Snapshotted")
    status = found["status"]
    assert (status["attempt"], status["lastRequest"]["result"]) == (2, "Accepted")
    assert [version["attempt"] for version in status["versions"]] in ([2, 1], [2])
    assert status["version"] == status["versions"][0]["version"]
    assert first


def test_one_that_is_deleted_while_its_job_runs_takes_it_along_and_can_be_made_again(chain: Chain) -> None:
    chain.stock()
    chain.live()
    chain.apply(manifest(chain))
    wait(lambda: chain.cluster.list("jobs", chain.namespace), SECONDS, lambda: chain.describe("Dataset", "digits-1"), interval=0.05)
    chain.cluster.kubectl("delete", "dataset", "digits-1", f"--namespace={chain.namespace}", "--wait=true")
    chain.apply(manifest(chain))
    found = until_reason(chain, "Ready", "Snapshotted")
    (job,) = chain.cluster.list("jobs", chain.namespace)
    assert job["metadata"]["labels"]["bramble.dev/owner-uid"] == found["metadata"]["uid"]


def test_a_changed_spec_is_a_new_version_and_groups_keep_their_splits(chain: Chain) -> None:
    chain.stock()
    chain.live()
    chain.apply(manifest(chain))
    first = until_reason(chain, "Ready", "Snapshotted")["status"]
    chain.apply(manifest(chain, splits={"train": 0.5, "val": 0.25, "test": 0.25, "seed": 7}))

    def second() -> dict[str, Any] | None:
        found = chain.get("Dataset", "digits-1")
        done = found["status"]["attempt"] == 2 and condition(found, "Ready").get("status") == "True"
        return found if done else None

    found = wait(second, SECONDS, lambda: chain.describe("Dataset", "digits-1"), interval=0.2) or {}
    status = found["status"]
    assert status["samples"]["splits"] == first["samples"]["splits"], "no picture is new, so none changes its split"
    assert len(status["versions"]) in (1, 2)
