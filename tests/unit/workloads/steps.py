"""Runs a store step as its pod does: a job file, a mounted Secret, a termination log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from bramble.contracts.canonical import canonical_json, digest_of
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.convert import ConvertJob
from bramble.contracts.jobs.evaluate import EvaluateJob
from bramble.contracts.jobs.files import AnyResult, ResultFile
from bramble.contracts.jobs.package import PackagingJob
from bramble.contracts.jobs.termination import Termination
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import cause_key, result_key, run_prefix
from bramble_workloads.store import Store

OWNER = ObjectRef(kind="ModelVersion", namespace="ads", name="digits-1-0-0", uid="uid-1")


class StepPod:
    """A pod with the store's Secret; the test's store is the same one."""

    def __init__(self, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.folder = folder
        monkeypatch.setenv("BRAMBLE_JOB_FILE", str(folder / "job.json"))
        monkeypatch.setenv("BRAMBLE_TERMINATION_LOG", str(folder / "termination"))

    def put(self, blobs: Iterable[bytes]) -> None:
        for content in blobs:
            self.store.put_blob(content)

    def write(self, job: EvaluateJob | ConvertJob | PackagingJob) -> None:
        (self.folder / "job.json").write_bytes(canonical_json(job))
        (self.folder / "termination").unlink(missing_ok=True)

    def run(self, main: Callable[[], int], job: EvaluateJob | ConvertJob | PackagingJob) -> int:
        self.write(job)
        return main()

    def result(self, job: EvaluateJob | ConvertJob | PackagingJob) -> AnyResult:
        """What was filed; the termination message must name it."""
        content = self.store.get(result_key(job.prefix))
        last = Termination.model_validate_json((self.folder / "termination").read_bytes())
        assert (last.code, last.key, last.sha256) == (0, result_key(job.prefix), digest_of(content))
        return ResultFile.parse(content)

    def cause(self, job: EvaluateJob | ConvertJob | PackagingJob) -> Cause:
        return Cause.model_validate_json(self.store.get(cause_key(job.prefix, 0)))


def prefix(step: str, attempt: int = 1) -> str:
    return run_prefix(OWNER.kind, OWNER.namespace, OWNER.name, OWNER.uid, step, attempt)


def evaluate_job(**fields: Any) -> EvaluateJob:
    return EvaluateJob.model_validate({"object": OWNER, "attempt": 1, "prefix": prefix("evaluate"), **fields})


def convert_job(*variants: dict[str, Any], **fields: Any) -> ConvertJob:
    values: dict[str, Any] = {"object": OWNER, "attempt": 1, "prefix": prefix("convert"), "model": "digits", "version": "1.2.3"}
    return ConvertJob.model_validate({**values, "variants": variants, **fields})


def packaging_job(**fields: Any) -> PackagingJob:
    values: dict[str, Any] = {"object": OWNER, "attempt": 1, "prefix": prefix("package"), "model": "digits", "version": "1.2.3"}
    return PackagingJob.model_validate({**values, **fields})


def environment(hash_seed: int) -> dict[str, str]:
    """Of a process with another order of sets."""
    return os.environ | {"PYTHONHASHSEED": str(hash_seed)}
