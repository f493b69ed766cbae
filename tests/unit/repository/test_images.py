"""The Dockerfiles, which nothing here can build, against the local cluster's image table, which everything here runs on."""

import json
import re

import pytest

from bramble.contracts.pod import TELEMETRY_OFF
from tests.unit.repository.tree import ROOT
from tools.cluster import images

NAMES = ("operator", "train", "convert", "edge")


def dockerfile(name: str) -> str:
    return (ROOT / "images" / name / "Dockerfile").read_text()


def variables(text: str) -> dict[str, str]:
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert block
    pairs = block.group(1).replace("\\\n", " ").split()
    return dict(pair.split("=", 1) for pair in pairs)


def test_there_is_a_dockerfile_for_each_image_of_the_local_cluster() -> None:
    assert sorted(source.name for source in images.SOURCES) == sorted(NAMES)
    assert sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")) == sorted(NAMES)


@pytest.mark.parametrize("source", images.SOURCES, ids=lambda source: source.name)
def test_an_image_is_the_same_here_and_there(source: images.ImageSource) -> None:
    text = dockerfile(source.name)
    assert f"USER {images.USER}:{images.USER}" in text
    assert f"COPY images/locks/{source.lock}.txt" in text
    assert f"ENTRYPOINT {json.dumps(list(source.entrypoint))}" in text
    assert variables(text) == {
        "PATH": f"{images.ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": images.CODE,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        **TELEMETRY_OFF,
        **source.environment,
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_pinned_and_unprivileged(name: str) -> None:
    text = dockerfile(name)
    assert re.search(r"^ARG BASE=python:\d+\.\d+\.\d+-slim-[a-z]+$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert "--require-hashes" in text
    assert text.index("\nUSER ") > text.index("\nRUN ")


@pytest.mark.parametrize("name", ["train", "convert", "edge"])
def test_jobs_and_devices_hold_no_operator(name: str) -> None:
    copied = re.findall(r"^COPY (operator/\S+)", dockerfile(name), re.MULTILINE)
    assert copied == ["operator/bramble/__init__.py", "operator/bramble/contracts", "operator/bramble/objectstore"]
