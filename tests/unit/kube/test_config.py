"""The way to the API server, from a kubeconfig or a pod's service account."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from bramble.kube.config import ConfigError, load


def kubeconfig(folder: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> Path:
    document = {
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "ads"}},
            {"name": "two", "context": {"cluster": "c", "user": "nobody"}},
        ],
        "clusters": [{"name": "c", "cluster": cluster or {"server": "https://127.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_kubeconfig_with_embedded_certificates(tmp_path: Path) -> None:
    data = {name: base64.b64encode(name.encode()).decode() for name in ("client-certificate-data", "client-key-data")}
    path = kubeconfig(tmp_path, data)
    config = load({"KUBECONFIG": str(path)})
    assert (config.server, config.namespace) == ("https://127.0.0.1:6443", "ads")
    assert (config.certificate, config.key) == ("client-certificate-data", "client-key-data")
    assert config.bearer() == ""


def test_files_are_named_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("secret\n")
    path = kubeconfig(tmp_path, {"tokenFile": "token"}, {"server": "https://x", "certificate-authority": "ca.pem"})
    config = load({"KUBECONFIG": str(path)})
    assert (config.ca, config.bearer()) == ("CA", "secret")


def test_a_renewed_token_is_read_again(tmp_path: Path) -> None:
    for name, text in (("token", "old"), ("ca.crt", "CA"), ("namespace", "bramble")):
        (tmp_path / name).write_text(text)
    config = load({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
    assert (config.server, config.namespace, config.bearer()) == ("https://10.96.0.1:443", "bramble", "old")
    (tmp_path / "token").write_text("new")
    assert config.bearer() == "new"


def test_an_address_of_ip_6_is_bracketed(tmp_path: Path) -> None:
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / name).write_text("x")
    assert load({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).server == "https://[fd00::1]:443"


@pytest.mark.parametrize(
    ("name", "user", "context", "told"),
    [
        ("a context that is not there", {}, "three", "contexts has no 'three'"),
        ("a user that is not there", {}, "two", "users has no 'nobody'"),
        ("a user with an auth-provider", {"auth-provider": {"name": "gcp"}}, "", "user 'u' has an auth-provider"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, name: str, user: dict[str, Any], context: str, told: str) -> None:
    environment = {"KUBECONFIG": str(kubeconfig(tmp_path, user)), "BRAMBLE_KUBE_CONTEXT": context}
    with pytest.raises(ConfigError) as raised:
        load(environment)
    assert told in str(raised.value), name


def test_no_way_at_all_names_the_places_that_were_tried(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"KUBECONFIG is not set, .* has no token, and .* does not exist"):
        load({"HOME": str(tmp_path)}, tmp_path)
