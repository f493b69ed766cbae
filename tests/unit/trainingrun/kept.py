"""Builders of outputs that training programs left."""

from __future__ import annotations

import json
from typing import Any

from bramble.contracts.canonical import canonical_json, digest_of, document_digest
from bramble.contracts.images import Decode, ImageInput, Normalize
from bramble.contracts.jobs.package import PackagingResult
from bramble.contracts.output import OutputFile, TrainingOutput
from bramble.contracts.package import Lineage, ModelDescription, Output
from bramble.contracts.report import ObjectRef
from bramble.contracts.store import output_key, run_prefix
from bramble.contracts.tasks.base import Tensor
from bramble.contracts.tasks.classification import Classify
from bramble.kinds.trainingrun.kept_output import Listing
from tests.unit.trainingrun.seen import DATASET, PACKAGE, manifest

SOURCE_UID = "uid-source"
PROBLEM = "$BRAMBLE_OUT/package.json: accuracy: a model description has no such field: remove it"
DESCRIPTION = ModelDescription(
    task="image-classification",
    input=ImageInput(tensor=Tensor(name="x", shape=(1, 1, 8, 8), layout="NCHW")),
    preprocess=(Decode(color="L"), Normalize(mean=(0.5,), std=(0.5,))),
    outputs=(Output(name="y", shape=(1, 2)),),
    postprocess=Classify(labels=("ad", "content")),
)
DESCRIBED: dict[str, Any] = json.loads(canonical_json(DESCRIPTION))
DESCRIPTION_DIGEST = document_digest(DESCRIPTION)


def output(attempt: int = 2, **fields: Any) -> TrainingOutput:
    """Two files of attempt 2 of the run `first`, which gave no package."""
    values: dict[str, Any] = {
        "object": ObjectRef(kind="TrainingRun", namespace="ns", name="first", uid=SOURCE_UID),
        "attempt": attempt,
        "problem": PROBLEM,
        "files": (OutputFile(name="model.onnx", sha256=DATASET, bytes=4096), OutputFile(name="package.json", sha256=DATASET, bytes=512)),
        "epochs": 5,
        "device": "cuda",
        "world_size": 8,
        "lineage": Lineage(dataset=DATASET, image="theirs@sha256:1", seed=7),
        **fields,
    }
    return TrainingOutput(**values)


def listing(attempt: int = 2, **fields: Any) -> Listing:
    found = output(attempt, **fields)
    return Listing(output_key(prefix(attempt)), digest_of(found.encode()), found)


def prefix(attempt: int, name: str = "first", uid: str = SOURCE_UID) -> str:
    return run_prefix("TrainingRun", "ns", name, uid, "train", attempt)


def spec(**kept: Any) -> dict[str, Any]:
    """The fields by which a run packages what `first` left."""
    return {"trainer": {"keptOutput": {"trainingRunRef": {"name": "first"}, **kept}}, "engine": None}


def packaging_result() -> PackagingResult:
    return PackagingResult(
        seconds=1, image="theirs@sha256:1", package=PACKAGE, output=listing().digest, epochs=5, device="cuda", world_size=8
    )


def source(**status: Any) -> dict[str, Any]:
    """The run `first`, trained on the pinned dataset in two attempts."""
    made = manifest()
    made["metadata"] |= {"name": "first", "uid": SOURCE_UID}
    pinned = {"name": "tape", "uid": "uid-dataset", "version": DATASET}
    made["status"] = {"dataset": pinned, "attempt": 2, "outcome": {"reason": "SpecError", "message": ""}, **status}
    return {**made, "status": {name: value for name, value in made["status"].items() if value is not None}}
