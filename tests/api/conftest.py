"""Tests on a real API server with our CustomResourceDefinitions and nothing else of ours."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.api.admission import Admission, proxied
from tools.cluster.kubectl import Kubectl


@pytest.fixture(scope="session")
def admission(served_kinds: Kubectl) -> Iterator[Admission]:
    """An API server that knows the five kinds, and a namespace of this session's own."""
    namespace = f"admission-{secrets.token_hex(3)}"
    served_kinds.kubectl("create", "namespace", namespace)
    with proxied(served_kinds) as port:
        yield Admission(served_kinds, port, namespace)
    served_kinds.kubectl("delete", "namespace", namespace, "--wait=false")
