"""The YAML that the pages show is YAML, and its objects are of the kinds and fields that Bramble and its chart have."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from bramble.api.catalogue import KINDS
from bramble.contracts.store import FIELDS, SECRET_NAME, StoreConfig
from tests.unit.repository import tree

SPECS = {kind.resource.kind: kind.spec for kind in KINDS}
BLOCK = re.compile(r"^ *```yaml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def documents() -> Iterator[tuple[str, Any]]:
    """Every YAML document of every page, with the name of its page."""
    for page in (path for path in tree.files() if path.suffix == ".md"):
        for block in BLOCK.findall(page.read_text()):
            for document in yaml.safe_load_all(textwrap.dedent(block)):
                yield tree.relative(page), document


def objects() -> Iterator[Any]:
    for page, document in documents():
        if isinstance(document, dict) and str(document.get("apiVersion", "")).startswith("bramble.dev/"):
            yield pytest.param(document, id=f"{page} {document['kind']}")


@pytest.mark.parametrize("example", list(objects()))
def test_an_example_of_a_kind_has_a_spec_that_the_kind_accepts(example: dict[str, Any]) -> None:
    SPECS[example["kind"]].model_validate(example["spec"])


def test_an_unknown_field_in_an_example_is_noticed() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        SPECS["Fleet"].model_validate({"nodeSelector": {"a": "b"}, "boards": [], "board": []})


def test_the_values_for_argo_cd_are_values_of_the_chart() -> None:
    application = next(document for _, document in documents() if isinstance(document, dict) and document.get("kind") == "Application")
    defaults = yaml.safe_load((tree.ROOT / "charts/bramble/values.yaml").read_text())
    values = application["spec"]["source"]["helm"]["valuesObject"]
    assert values["gateway"]["tls"].keys() <= defaults["gateway"]["tls"].keys()
    assert values.keys() <= defaults.keys()


def test_the_secret_of_the_quick_start_has_every_key() -> None:
    secret = next(document for _, document in documents() if isinstance(document, dict) and document.get("kind") == "Secret")
    assert secret["metadata"]["name"] == SECRET_NAME
    assert secret["stringData"].keys() == {field.key for field in FIELDS}
    assert StoreConfig.parse(secret["stringData"]).prefix == "ads/"
