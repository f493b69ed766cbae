"""A name from a spec never leads to another object."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from bramble.errors import NotFound
from bramble.kube.resources import CONFIG_MAP, DATASET, FLEET


@given(st.text(min_size=1), st.text(min_size=1))
@example("ads", "../../victim/datasets/private")
@example("..", "digits")
@example("ads", "digits?watch=true")
@example("ads", "%2e%2e/secrets")
def test_a_path_has_one_segment_for_each_name_or_there_is_none(namespace: str, name: str) -> None:
    try:
        path = DATASET.path(namespace, name, "status")
    except NotFound:
        return
    url = URL(f"https://cluster{path}")
    assert url.parts == ("/", "apis", "bramble.dev", "v1alpha1", "namespaces", namespace, "datasets", name, "status")
    assert not url.query_string


def test_a_path_of_an_ordinary_object_is_plain() -> None:
    assert DATASET.path("ads", "digits") == "/apis/bramble.dev/v1alpha1/namespaces/ads/datasets/digits"
    assert FLEET.path(None, "demo") == "/apis/bramble.dev/v1alpha1/fleets/demo"
    assert CONFIG_MAP.path("ads") == "/api/v1/namespaces/ads/configmaps"


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a%2fb"])
def test_a_name_that_no_object_can_have_is_said_to_be_missing(name: str) -> None:
    with pytest.raises(NotFound, match="no object can have the name"):
        DATASET.path("ads", name)
