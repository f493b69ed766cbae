"""Login plugins in a kubeconfig: a program of our own prints what those of EKS, GKE and AKS print."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bramble.errors import ApiUnavailable
from bramble.kube.client import Client
from bramble.kube.config import ClusterConfig, ConfigError, from_kubeconfig
from bramble.kube.login import LoginError
from bramble.kube.resources import DATASET

API_VERSION = "client.authentication.k8s.io/v1"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Plugin:
    """A folder with a kubeconfig and a program that prints what `answers` says, and records how it was called."""

    def __init__(self, folder: Path, server: str = "https://127.0.0.1:6443") -> None:
        self.folder, self.now = folder, NOW
        script = folder / "login"
        script.write_text(
            f"#!{sys.executable}\nimport os, sys, pathlib\nfolder = pathlib.Path({str(folder)!r})\n"
            "with (folder / 'calls').open('a') as calls:\n"
            "    calls.write(' '.join([os.environ['KUBERNETES_EXEC_INFO'], *sys.argv[1:], os.environ['PROFILE']]) + '\\n')\n"
            "print((folder / 'answer').read_text())\nsys.exit(int((folder / 'code').read_text()))\n"
        )
        script.chmod(0o755)
        exec_config = {
            "apiVersion": API_VERSION,
            "command": "./login",
            "args": ["get-token"],
            "env": [{"name": "PROFILE", "value": "test"}],
            "provideClusterInfo": True,
            "interactiveMode": "IfAvailable",
        }
        self.document: dict[str, Any] = {
            "current-context": "one",
            "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"exec": exec_config}}],
        }
        self.path = folder / "kubeconfig"
        self.answers(token="first")

    def answers(self, *, code: int = 0, **status: Any) -> None:
        credential = {"apiVersion": API_VERSION, "kind": "ExecCredential", "status": status}
        (self.folder / "answer").write_text(json.dumps(credential))
        (self.folder / "code").write_text(str(code))

    def config(self) -> ClusterConfig:
        self.path.write_text(yaml.safe_dump(self.document))
        config = from_kubeconfig(self.path)
        assert config.plugin is not None
        config.plugin._now = lambda: self.now
        return config

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


def test_a_token_without_an_expiry_is_used_until_it_is_refused(plugin: Plugin) -> None:
    config = plugin.config()
    plugin.now += timedelta(days=30)
    assert (config.bearer(), config.client_certificate(), len(plugin.calls)) == ("first", ("", ""), 1)
    plugin.answers(token="second")
    config.refused()
    assert (config.bearer(), len(plugin.calls)) == ("second", 2)


def test_the_plugin_is_called_as_kubectl_calls_it(plugin: Plugin) -> None:
    plugin.config()
    (call,) = plugin.calls
    info, arguments, profile = call.rsplit(" ", 2)
    assert (arguments, profile) == ("get-token", "test")
    asked = json.loads(info)
    assert (asked["kind"], asked["apiVersion"]) == ("ExecCredential", API_VERSION)
    assert asked["spec"]["cluster"]["server"] == "https://127.0.0.1:6443"


@pytest.mark.parametrize(
    ("left", "token"),
    [
        pytest.param(timedelta(seconds=61), "first", id="a little more than a minute before it expires"),
        pytest.param(timedelta(seconds=60), "second", id="a minute before"),
        pytest.param(timedelta(seconds=-5), "second", id="after"),
    ],
)
def test_a_token_that_expires_is_asked_for_again(plugin: Plugin, left: timedelta, token: str) -> None:
    expires = NOW + timedelta(minutes=15)
    plugin.answers(token="first", expirationTimestamp=expires.isoformat().replace("+00:00", "Z"))
    config = plugin.config()
    plugin.now = NOW
    assert config.bearer() == "first"
    plugin.answers(token="second")
    plugin.now = expires - left
    assert config.bearer() == token


def test_a_plugin_that_fails_to_renew_leaves_the_token_that_is_still_valid(plugin: Plugin) -> None:
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    plugin.answers(token="first", expirationTimestamp=expires.isoformat())
    config = plugin.config()
    plugin.answers(code=3)
    plugin.now = expires - timedelta(seconds=30)
    assert config.bearer() == "first"
    plugin.now = expires
    with pytest.raises(LoginError, match="process returned 3"):
        config.bearer()


def certificate() -> tuple[str, str]:
    """A key, and what stands for its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return "certificate", pem.decode()


def test_a_client_certificate_is_renewed_as_well(plugin: Plugin) -> None:
    expires = NOW + timedelta(hours=1)
    pair = certificate()
    plugin.answers(clientCertificateData=pair[0], clientKeyData=pair[1], expirationTimestamp="2026-01-01T13:00:00Z")
    config = plugin.config()
    plugin.now = NOW
    assert (config.client_certificate(), config.bearer()) == (pair, "")
    plugin.answers(clientCertificateData="next", clientKeyData="key")
    plugin.now = expires
    assert config.client_certificate() == ("next", "key")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda p: p.answers(code=1), "process returned 1", id="the plugin fails"),
        pytest.param(lambda p: p.answers(), "neither a token nor a client certificate", id="it prints no credentials"),
        pytest.param(lambda p: p.answers(clientCertificateData="c"), "neither a token nor", id="it prints a certificate without its key"),
        pytest.param(lambda p: (p.folder / "answer").write_text("hello"), "failed to decode", id="it prints something else"),
        pytest.param(lambda p: (p.folder / "login").unlink(), "No such file", id="it is not installed"),
    ],
)
def test_a_plugin_that_gives_no_credentials_is_named_at_the_start(plugin: Plugin, change: Any, message: str) -> None:
    change(plugin)
    with pytest.raises(ConfigError, match=rf"login plugin './login'.*{message}"):
        plugin.config()


async def test_a_401_asks_the_plugin_again(tmp_path: Path) -> None:
    tokens: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        tokens.append(request.headers["Authorization"])
        if tokens[-1] != "Bearer second":
            return web.json_response({"reason": "Unauthorized", "message": "Unauthorized"}, status=401)
        return web.json_response({"metadata": {"name": "a"}})

    runner = web.AppRunner(web.Application())
    runner.app.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    plugin = Plugin(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        async with Client(plugin.config()) as client:
            plugin.answers(token="second")
            with pytest.raises(ApiUnavailable, match="Unauthorized"):
                await client.get(DATASET, "ads", "a")
            assert await client.get(DATASET, "ads", "a") is not None
    finally:
        await runner.cleanup()
    assert tokens == ["Bearer first", "Bearer second"]
