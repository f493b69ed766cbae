"""The contracts of this commit read the documents of earlier commits, and treat the fields of later ones as each kind says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from bramble.contracts.base import problems_of
from bramble.contracts.canonical import canonical_json, digest_of, document_digest
from bramble.contracts.manifest import Manifest
from bramble.contracts.package import Package
from tests.unit.contracts.reading import DOCUMENTS, READERS, Reader, stored

FREE = frozenset({"lineage", "hyperparameters", "metrics", "meta", "counts", "files", "nodes", "stable", "candidate", "packages", "drop",
                  "maxDrop", "referenceMetrics", "perClass", "slices", "overall", "scores"})  # fmt: skip
"""Fields whose values are maps with names of their own, or that a later release may have moved: no unknown field is put into these."""

each_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


def with_unknown_field(document: Any, *, top: bool = True) -> Iterator[tuple[str, Any]]:
    """The document with one unknown field in it, once for each object that has fields of its own, and the path of that object."""
    if isinstance(document, dict):
        if top:
            yield "", {**document, "ofALaterRelease": 1}
        for name, value in document.items():
            if name not in FREE:
                yield from ((f"{name}.{path}", {**document, name: changed}) for path, changed in with_unknown_field(value))
    if isinstance(document, list):
        for index, value in enumerate(document):
            yield from (
                (f"{index}.{path}", [*document[:index], changed, *document[index + 1 :]]) for path, changed in with_unknown_field(value)
            )


def problems(reader: Reader, content: bytes) -> str:
    """Why the reader refuses a document; empty where it accepts it."""
    try:
        reader.parse(content)
    except ValidationError as error:
        return problems_of(error)
    return ""


@each_reader
def test_documents_of_earlier_commits_are_read(reader: Reader) -> None:
    documents = stored(reader.pattern)
    assert documents, f"no stored document matches {reader.pattern}"
    refused = {name: found for name, content in documents if (found := problems(reader, content))}
    assert refused == {}, "these can no longer be read"


@each_reader
def test_unknown_fields_are_refused_or_ignored_as_the_reader_says(reader: Reader) -> None:
    for name, content in stored(reader.pattern):
        known = reader.parse(content)
        for path, changed in with_unknown_field(json.loads(content)):
            where = f"{name}: an unknown field at {path or 'the top'}"
            found = problems(reader, json.dumps(changed).encode())
            if reader.refuses:
                assert "is not known to version" in found, f"{where} may change what the reader must do, and must be refused as unknown"
            else:
                assert found == "", f"{where} must be ignored"
                assert reader.parse(json.dumps(changed).encode()) == known, f"{where} changes fields that are known"


@pytest.mark.parametrize(("pattern", "kind"), [("package-*.json", Package), ("manifest*.json", Manifest)])
def test_digests_of_earlier_commits_stay(pattern: str, kind: type[Package | Manifest]) -> None:
    """Devices, results and status name packages and manifests by digest, so a document that is written again must be the same bytes."""
    for name, content in stored(pattern):
        parsed = kind.model_validate_json(content)
        assert canonical_json(parsed) == content, f"{name} is written differently now"
        assert document_digest(parsed) == digest_of(content), f"{name} has another digest now"


def test_every_stored_document_has_a_reader() -> None:
    read = {path for reader in READERS for path in DOCUMENTS.glob(f"*/{reader.pattern}")}
    assert set(DOCUMENTS.glob("*/*.json*")) - read == set()
