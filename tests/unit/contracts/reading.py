"""How each process reads each kind of document: the one table that the tests of documents between versions go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from bramble.contracts.assignment import Assignment
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.files import JobFile, ResultFile
from bramble.contracts.jobs.termination import Termination
from bramble.contracts.manifest import Manifest, read_sample
from bramble.contracts.output import TrainingOutput
from bramble.contracts.package import ModelDescription, Package
from bramble.contracts.report import Observed, Progress, Report
from bramble.contracts.tasks.classification import ClassifierHyperparameters, Label

DOCUMENTS = Path(__file__).parent / "documents"
"""One folder for each commit whose documents must stay readable; each file is a document exactly as that commit wrote it."""


@dataclass(frozen=True)
class Reader:
    """One reader of one kind of document.

    Attributes:
        name: who reads what.
        pattern: of the files that hold such documents.
        parse: what the reader calls.
        refuses: whether it refuses unknown fields.
    """

    name: str
    pattern: str
    parse: Callable[[bytes], BaseModel]
    refuses: bool


READERS = (
    Reader("boards and jobs read packages", "package-*.json", Package.model_validate_json, refuses=True),
    Reader("the sidecar reads what a trainer describes", "model-description.json", ModelDescription.model_validate_json, refuses=True),
    Reader(
        "the training program reads hyperparameters", "hyperparameters*.json", ClassifierHyperparameters.model_validate_json, refuses=True
    ),
    Reader("a step reads the job that it carries out", "job-*.json", JobFile.parse, refuses=True),
    Reader("the gateway reads whose job a pod has", "job-*.json", lambda content: JobFile.parse(content, "ignore"), refuses=False),
    Reader("the operator reads results", "result-*.json", ResultFile.parse, refuses=False),
    Reader("the operator and jobs read what a training left", "training-output*.json", TrainingOutput.parse, refuses=False),
    Reader("the operator reads causes", "cause*.json", Cause.model_validate_json, refuses=False),
    Reader("the operator reads termination messages", "termination-*.json", Termination.model_validate_json, refuses=False),
    Reader("the gateway reads progress", "progress*.json", Progress.model_validate_json, refuses=False),
    Reader("the gateway reads reports of devices", "report*.json", Report.model_validate_json, refuses=False),
    Reader("the operator reads what the gateway observed", "observed*.json", Observed.model_validate_json, refuses=False),
    Reader("devices read assignments", "assignment*.json", Assignment.model_validate_json, refuses=False),
    Reader("jobs read manifests", "manifest*.json", Manifest.model_validate_json, refuses=False),
    Reader("jobs read samples", "samples*.jsonl", lambda line: read_sample(line, Label), refuses=False),
)


def stored(pattern: str) -> list[tuple[str, bytes]]:
    """Name and content of every stored document of this kind. Each line of a `.jsonl` file is a document."""
    found = [(str(path.relative_to(DOCUMENTS)), path.read_bytes()) for path in sorted(DOCUMENTS.glob(f"*/{pattern}"))]
    return [(name, line) for name, content in found for line in (content.splitlines() if name.endswith(".jsonl") else [content])]
