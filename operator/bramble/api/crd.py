"""Generates the CustomResourceDefinitions from the models, into `crds/` and the chart (`make crds`; `--check` only compares).

pydantic gives a JSON schema (draft 2020-12) with references. A CRD needs a structural OpenAPI v3 schema: everything inlined, one type for
each field, no titles. A default inside a list item is left out of the schema, because server-side apply and Argo CD would show it as
drift; the item's description names it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from bramble.api.catalogue import KINDS
from bramble.api.objects import Column, Kind
from bramble.api.schema import INT_OR_STRING, LIST_KEYS, VALIDATIONS, JsonSchema
from bramble.kube.resources import GROUP, VERSION

ROOT = Path(__file__).resolve().parents[3]
HEADER = "# generated from operator/bramble/api by `make crds`; change it there.\n"
KEPT = (
    "type", "format", "description", "enum", "default", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength",
    "maxLength", "pattern", "minItems", "maxItems", "minProperties", "maxProperties",
)  # fmt: skip
MEMORY = re.compile(r"(?<=\. )Memory\.$")
"""How a model marks a status field that cannot be derived from other objects."""
REMEMBERED = "The operator stores this only here and continues from it."
NOT_OF_A_STATUS = ("default", "enum", "required", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", VALIDATIONS)


class SchemaError(TypeError):
    """A model has something that a structural schema cannot express."""


def structural(model: type[BaseModel], *, status: bool = False) -> JsonSchema:
    """The structural schema of a model.

    Args:
        status: whether it is the model of a status. Then required fields, defaults and bounds are left out: they could make the status
            of another version of the operator invalid.
    """
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _Converter(whole.get("$defs", {}), status).convert(whole, in_list=False)


class _Converter:
    def __init__(self, definitions: dict[str, JsonSchema], status: bool) -> None:
        self.definitions = definitions
        self.status = status

    def convert(self, schema: JsonSchema, *, in_list: bool) -> JsonSchema:
        schema = self._resolve(schema)
        made: JsonSchema = {name: schema[name] for name in KEPT if name in schema}
        made |= {name: value for name, value in schema.items() if name.startswith("x-kubernetes-")}
        if "description" in made:
            made["description"] = MEMORY.sub(REMEMBERED, " ".join(made["description"].split()))
        if schema.get(INT_OR_STRING):
            made["anyOf"] = schema["anyOf"]
        elif "const" in schema:
            made["enum"] = [schema["const"]]
        elif "type" not in made:
            raise SchemaError(f"no single type: {schema}")
        self._numbers(made)
        if made.get("type") == "array":
            made["items"] = self.convert(schema["items"], in_list=True)
            if LIST_KEYS in made:
                made["items"]["required"] = sorted({*made["items"].get("required", ()), *made[LIST_KEYS]})
        elif made.get("type") == "object":
            self._object(schema, made, in_list)
        self._default(made, in_list)
        if self.status:
            for name in NOT_OF_A_STATUS:
                made.pop(name, None)
        return made

    def _object(self, schema: JsonSchema, made: JsonSchema, in_list: bool) -> None:
        values = schema.get("additionalProperties")
        if "properties" in schema:
            made["properties"] = {name: self.convert(field, in_list=in_list) for name, field in schema["properties"].items()}
            if schema.get("required"):
                made["required"] = schema["required"]
        elif isinstance(values, dict):
            made["additionalProperties"] = self.convert(values, in_list=True)

    def _resolve(self, schema: JsonSchema) -> JsonSchema:
        """Follow references, and drop the `null` of an optional field. What stands beside a reference overrides the reference's target."""
        if "anyOf" in schema and not schema.get(INT_OR_STRING):
            options = [option for option in schema["anyOf"] if option.get("type") != "null"]
            if len(options) != 1:
                raise SchemaError(f"a field has one type: {schema}")
            beside = {name: value for name, value in schema.items() if name != "anyOf"}
            if beside.get("default", ...) is None:
                del beside["default"]
            return self._resolve({**options[0], **beside})
        if "$ref" in schema:
            target = self.definitions[schema["$ref"].rsplit("/", 1)[1]]
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            return self._resolve({**target, **beside})
        return schema

    @staticmethod
    def _numbers(made: JsonSchema) -> None:
        """Write exclusive bounds as a flag, and the size of integers as a format, as OpenAPI v3 does."""
        for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if flag in made:
                made[bound], made[flag] = made[flag], True
        if made.get("type") == "integer":
            made["format"] = "int64"

    def _default(self, made: JsonSchema, in_list: bool) -> None:
        default = _without_unset(made.get("default"))
        if "default" in made:
            made["default"] = default
        if in_list and not self.status and default not in (None, "", [], {}):
            made["description"] = f"{made.get('description', '')} Default: {default}.".strip()
        if in_list or default in (None, []) or (default == {} and not made.get("properties")):
            made.pop("default", None)


def _without_unset(default: Any) -> Any:
    """The default without fields that are unset."""
    if isinstance(default, dict):
        stated = {name: _without_unset(value) for name, value in default.items() if value is not None}
        return {name: value for name, value in stated.items() if value not in ([], {})}
    return [_without_unset(value) for value in default] if isinstance(default, list) else default


def _column(column: Column) -> JsonSchema:
    made: JsonSchema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.priority:
        made["priority"] = column.priority
    if column.description:
        made["description"] = column.description
    return made


def definition(kind: Kind[Any, Any]) -> JsonSchema:
    """The CustomResourceDefinition of a kind. Helm keeps it on uninstall, and the objects with it."""
    resource = kind.resource
    root: JsonSchema = {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{resource.kind}."},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": structural(kind.spec),
            "status": structural(kind.status, status=True),
        },
        VALIDATIONS: [rule.as_json() for rule in kind.rules],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": list(kind.short_names),
                "categories": ["bramble"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes YAML without anchors, so that every part can be read on its own."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def text_of(document: JsonSchema) -> str:
    """The document as the generated files contain it."""
    return HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True)


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file (relative to the repository) with its content."""
    for kind in KINDS:
        text = text_of(definition(kind))
        if "{{" in text:
            raise SchemaError(f"{kind.resource.kind}: Helm would take two opening braces for a template")
        name = f"{GROUP}_{kind.resource.plural}.yaml"
        yield Path("crds") / name, text
        yield Path("charts/bramble/templates/crds") / name, text


def stale(root: Path = ROOT) -> list[str]:
    """The generated files that are missing or differ from what the models give."""
    return [str(path) for path, text in files() if not (root / path).is_file() or (root / path).read_text() != text]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` name those that are out of date and return 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file is out of date")
    if parser.parse_args(arguments).check:
        old = stale()
        sys.stderr.writelines(f"{path} is out of date: run `make crds` and commit it\n" for path in old)
        return 1 if old else 0
    for path, text in files():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
