"""Wrong documents of tenants and devices cost no more memory than right ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

import bramble
from bramble.contracts.cause import Cause
from bramble.contracts.jobs.files import AnyResult
from bramble.contracts.manifest import Manifest
from bramble.contracts.output import TrainingOutput
from bramble.contracts.package import Package
from bramble.contracts.report import Progress, Report
from bramble.contracts.untrusted import parse_untrusted
from tests.unit.contracts.reading import DOCUMENTS

MEASURE = """
import resource, sys
from pydantic import ValidationError
from bramble.contracts.manifest import Manifest
from bramble.contracts.package import Package
from bramble.contracts.report import Report
from bramble.contracts.untrusted import parse_untrusted
from tests.unit.contracts.reading import DOCUMENTS
from bramble.contracts.jobs.files import ResultFile
from bramble.contracts.output import TrainingOutput
SMALL, LARGE = 64 * 1024, 8 * 1024 * 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for model, content, most in (
    (Report, b'{"memory":[' + b"{}," * 90_000 + b"1]}", 1024 * 1024),
    (Package, b'{"x":[' + b"[]," * 2_700_000 + b"1]}", SMALL),
    (Package, b'{"outputs":[' + b"1," * 30_000 + b"1]}", SMALL),
    (Report, b'{"models":[' + b"{}," * 21_000 + b"1]}", SMALL),
    (Manifest, b'{"shards":[' + b"{}," * 90_000 + b"1]}", LARGE),
    (Manifest, b'{"x":[' + b"[]," * 2_700_000 + b"1]}", LARGE),
    (TrainingOutput, b'{"x":"' + b"x" * 8_000_000 + b'"}', LARGE),
    (TrainingOutput, b'{"files":[' + b"{}," * 90_000 + b"1]}", LARGE),
    (ResultFile, b'{"result":{"step":"evaluate","gates":[' + b"{}," * 90_000 + b"1]}}", LARGE),
    (ResultFile, b'{"result":{"step":"evaluate","remarks":[' + b"1," * 180_000 + b"1]}}", LARGE),
    (ResultFile, b'{"result":{"step":"train","metrics":{' + b",".join(b'"%06x":"x"' % each for each in range(190_000)) + b"}}}", LARGE),
    (ResultFile, b'{"result":{"step":"evaluate","slices":{"a":{' + b",".join(b'"%05x":1' % n for n in range(190_000)) + b"}}}}", LARGE),
    (Manifest, b'{"counts":{"test":{' + b",".join(b'"%06x":"x"' % each for each in range(190_000)) + b"}}}", LARGE),
):
    try:
        parse_untrusted(model, content, most)
    except ValidationError as error:
        error.errors()
    else:
        raise SystemExit("the document was taken")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_wrong_documents_take_little_memory() -> None:
    run = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 40 * 1024


TRUSTED = {
    "settings.py": "the administrator's settings",
    "api/trainer.py": "an object of the API server, which bounds it",
    "kinds/rollout/gather.py": "an assignment, which only the operator writes",
    "kinds/rollout/ledger_store.py": "a ledger, which only the operator writes",
    "gateway/assignments.py": "an assignment, which only the operator writes",
    "engine/gateway_poll.py": "the gateway's answer, which leaves out single wrong reports",
    "contracts/manifest.py": "a line of a manifest as a plain object, of which an error holds no more than the line",
}
"""The files that parse JSON with pydantic directly, and what they read so."""


def test_documents_of_others_are_parsed_in_one_way() -> None:
    root = Path(bramble.__file__).parent
    direct = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("model_validate_json", "validate_json")
    }
    assert direct == set(TRUSTED)


SMALL_MODELS = (Cause, Package)
"""Documents of at most 64 KiB."""

MODELS = (Cause, Manifest, Package, Progress, Report, TrainingOutput, *get_args(get_args(AnyResult)[0]))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_document_is_read_as_pydantic_reads_json(model: type[BaseModel]) -> None:
    """Its two ways could differ where a text or a list stands for another type."""
    read = 0
    for path in sorted(DOCUMENTS.rglob("*.json")):
        content = path.read_bytes()
        try:
            plain: BaseModel | None = model.model_validate_json(content)
        except ValidationError:
            plain = None
        try:
            ours: BaseModel | None = parse_untrusted(model, content, 1024 * 1024)
        except ValidationError:
            ours = None
        assert ours == plain, path
        read += plain is not None
    assert read


@pytest.mark.parametrize("content", [b"[" * 60_000, b'{"kind":' + b"9" * 60_000, b"\xff", b"", b" " * 70_000, b"[]"])
def test_whatever_is_wrong_is_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(ValidationError):
        parse_untrusted(Cause, content, 64 * 1024)
