"""What a training program leaves at its end, and the sidecar of its pod in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from bramble.contracts.canonical import canonical_json
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.train import TrainJob
from bramble.contracts.output import TrainingOutput
from bramble.contracts.store import cause_key, output_key
from bramble_workloads.errors import Missing
from bramble_workloads.launch import handshake
from bramble_workloads.launch.handshake import RunFolder
from bramble_workloads.sidecar.context import Context
from bramble_workloads.sidecar.step import Sidecar
from bramble_workloads.store import Store
from tests.unit.workloads.models import description, digits_graph
from tests.unit.workloads.pods import train_job

MANIFEST = f"sha256:{'d' * 64}"
RUN = {"namespace": "ns", "name": "digits", "uid": "uid-1"}


def job() -> TrainJob:
    return train_job(MANIFEST, nodes=1, container={"command": ["train"]}, lineage={"run": RUN, "dataset": MANIFEST, "image": "ours"})


def write_model(out: Path, **changes: Any) -> None:
    """A graph and its description, the latter with these fields changed."""
    (out / "model.onnx").write_bytes(digits_graph())
    document = json.loads(canonical_json(description())) | changes
    (out / "package.json").write_text(json.dumps({name: value for name, value in document.items() if value is not None}))


def write_external(out: Path, data: str = "model.onnx.data", name: str = "model.onnx") -> None:
    """The same graph as torch's exporter writes it: the weights in a file beside it."""
    write_model(out)
    model = onnx.load_from_string(digits_graph())
    (out / "model.onnx").unlink()
    onnx.save(model, out / name, save_as_external_data=True, location=data, size_threshold=0)


def point_at(path: Path, location: str) -> None:
    """Let a graph name another file for its weights."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
    path.write_bytes(model.SerializeToString())


class Pod:
    """The run folder of an attempt's only node, and its sidecar."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.run, self.job = store, RunFolder(str(folder)), job()
        self.run.make()
        document = json.loads(canonical_json(self.job))
        self.sidecar = Sidecar(Context(document, store, self.run, 0, 1))

    @property
    def out(self) -> Path:
        return self.run.out

    def end(self, code: int = 0, *causes: dict[str, Any]) -> dict[str, Any]:
        """The launcher says how the run ended; returns what the sidecar answers."""
        if causes:
            handshake.write(self.run.causes, {"causes": list(causes)})
        handshake.write(self.run.finished, {"code": code})
        self.sidecar.look()
        answer = handshake.read(self.run.acknowledged)
        assert answer is not None
        return answer

    def cause(self) -> Cause:
        return Cause.model_validate_json(self.store.get(cause_key(self.job.prefix, 0)))

    def listing(self) -> TrainingOutput | None:
        try:
            return TrainingOutput.parse(self.store.get(output_key(self.job.prefix)))
        except Missing:
            return None

    def kept(self) -> dict[str, bytes]:
        """Every kept file."""
        listing = self.listing()
        return {file.name: self.store.get_blob(file.sha256) for file in listing.files} if listing is not None else {}
