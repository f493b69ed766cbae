"""Wrong documents of tenants and devices cost no more memory than right ones."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from bramble.contracts.cause import Cause
from bramble.contracts.untrusted import parse_untrusted

MEASURE = """
import resource
from pydantic import ValidationError
from bramble.contracts.package import Package
from bramble.contracts.report import Report
from bramble.contracts.untrusted import parse_untrusted
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for model, content, most in (
    (Package, b'{"x":[' + b"[]," * 2_700_000 + b"1]}", 64 * 1024),
    (Package, b'{"outputs":[' + b"1," * 30_000 + b"1]}", 64 * 1024),
    (Report, b'{"models":[' + b"{}," * 170_000 + b"1]}", 512 * 1024),
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


@pytest.mark.parametrize("content", [b"[" * 60_000, b'{"kind":' + b"9" * 60_000, b"\xff", b"", b" " * 70_000, b"[]"])
def test_whatever_is_wrong_is_one_kind_of_error(content: bytes) -> None:
    with pytest.raises(ValidationError):
        parse_untrusted(Cause, content, 64 * 1024)
