"""Tests on a real API server with our CustomResourceDefinitions and nothing else of ours."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.api.admission import Admission, proxied
from tools.cluster.kinds import serve_kinds
from tools.cluster.kubectl import Kubectl


@pytest.fixture(scope="session")
def admission(api_cluster: Kubectl) -> Iterator[Admission]:
    """An API server that knows the five kinds, and a namespace of this session's own."""
    serve_kinds(api_cluster)
    namespace = f"admission-{secrets.token_hex(3)}"
    api_cluster.kubectl("create", "namespace", namespace)
    with proxied(api_cluster) as port:
        yield Admission(api_cluster, port, namespace)
    api_cluster.kubectl("delete", "namespace", namespace, "--wait=false")
