"""What the API server's audit log says of an object."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.chain import Child, creations

JOBS = "/apis/batch/v1/namespaces/ads/jobs?fieldManager=bramble-operator"


def created(uri: str, code: int = 201) -> str:
    """A line of the audit log about a Job of ours."""
    about = {"resource": "jobs", "namespace": "ads", "name": "tape-snapshot-1"}
    event = {"verb": "create", "requestURI": uri, "userAgent": "aiohttp", "objectRef": about, "responseStatus": {"code": code}}
    return json.dumps(event) + "\n"


def test_an_object_that_was_tried_first_was_created_once(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(created(f"{JOBS}&dryRun=All") + created(JOBS) + created(JOBS, code=409))
    assert creations(log, {"ads"}) == {Child("jobs", "ads", "tape-snapshot-1"): 1}
