"""What a snapshot job is told, and the digest by which a Dataset knows that nothing else is asked of it."""

from __future__ import annotations

from typing import Any

import pytest

from bramble.api.dataset import Spec
from bramble.kinds.dataset.render import inputs_of

SPEC: dict[str, Any] = {
    "task": "image-classification",
    "sources": [{"name": "tape", "s3": {"prefix": "tv-ads/"}, "format": "image-folder"}],
    "splits": {"groupBy": "recording"},
    "checks": {"minSamplesPerClass": 10},
}


def test_the_inputs_of_a_spec_have_the_digest_of_earlier_releases() -> None:
    """`status.inputs` keeps it. With another digest every Dataset would make a new version when the operator is upgraded."""
    assert inputs_of(Spec.model_validate(SPEC)) == "sha256:2f9f59b176c95871d60031d517afa58a991d75bbff7ab3c79dcd24cbb85139a6"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"sources": [{**SPEC["sources"][0], "s3": {"prefix": "other/"}}]}, id="another folder"),
        pytest.param({"sources": [{**SPEC["sources"][0], "name": "other"}]}, id="another name"),
        pytest.param({"splits": {"groupBy": "person"}}, id="other splits"),
        pytest.param({"checks": {"minSamplesPerClass": 11}}, id="other checks"),
    ],
)
def test_another_spec_has_another_digest(change: dict[str, Any]) -> None:
    assert inputs_of(Spec.model_validate({**SPEC, **change})) != inputs_of(Spec.model_validate(SPEC))


def test_a_source_is_told_to_the_job() -> None:
    (source,) = Spec.model_validate(SPEC).job_sources()
    assert source.model_dump(exclude_none=True) == {"name": "tape", "format": "image-folder", "prefix": "tv-ads/"}
