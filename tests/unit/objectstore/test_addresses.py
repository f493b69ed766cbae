"""Where a store may be, and that a connection goes to the address that was checked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from bramble.contracts.store import StoreConfig
from bramble.errors import StoreRefused, StoreUnavailable
from bramble.gateway.stores import Stores
from bramble.kube.store import NamespaceStore, store_session
from bramble.objectstore.addresses import Addresses, AddressRefused
from tests.unit.gateway.fakes import FakeApi, store_secret

API_SERVER = "https://10.96.0.1:443"
ADDRESSES = Addresses((), API_SERVER)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "a loopback address"),
        ("127.9.9.9", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("64:ff9b::7f00:1", "a loopback address"),
        ("2002:7f00:1::", "a loopback address"),
        ("0.0.0.0", "an unspecified address"),
        ("0.1.2.3", "an unspecified address"),
        ("::", "an unspecified address"),
        ("169.254.169.254", "a link-local address"),
        ("::ffff:169.254.169.254", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("fe80::1%eth0", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "a reserved address"),
        ("100.100.100.200", "the address of a cloud's metadata service"),
        ("fd00:ec2::254", "the address of a cloud's metadata service"),
    ],
)
def test_an_address_of_the_machine_or_of_its_cloud_is_no_store(address: str, kind: str) -> None:
    with pytest.raises(AddressRefused, match=f"endpoint: 's3.example' is at {address}, {kind}; .* stores.allowedNetworks"):
        ADDRESSES.check("s3.example", address, 9000)


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.9", "52.216.0.1", "fd12::7", "2001:db9::1", "64:ff9b::34d8:1", "10.96.0.1"])
def test_private_and_public_addresses_may_be_stores(address: str) -> None:
    ADDRESSES.check("s3.example", address, 9000)


def test_what_an_administrator_allows_may_be_a_store_but_never_the_api_server() -> None:
    allowing = Addresses((ip_network("127.0.0.0/8"), ip_network("0.0.0.0/0")), "https://127.0.0.1:6443")
    allowing.check("localhost", "127.0.0.1", 9000)
    for address in ("127.0.0.1", "::ffff:127.0.0.1"):
        with pytest.raises(AddressRefused, match="which is the cluster's API server; write the address of a store"):
            allowing.check("localhost", address, 6443)
    with pytest.raises(AddressRefused, match="a loopback address"):
        allowing.check("localhost", "::1", 9000)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://[::1]:9", "http://169.254.169.254", "https://10.96.0.1"])
def test_an_endpoint_with_such_an_address_is_an_invalid_secret(endpoint: str) -> None:
    secret = store_secret("ads", endpoint=endpoint, bucket="bucket", accessKey="a", secretKey="s")
    with pytest.raises(AddressRefused, match="endpoint: "):
        NamespaceStore.described_by(secret, ADDRESSES)


@pytest.fixture
def untouched() -> Iterator[int]:
    """A port on loopback that nobody may have connected to in the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1"])
def test_the_operator_does_not_connect_to_a_name_of_such_an_address(scheme: str, host: str, untouched: int) -> None:
    store = NamespaceStore(StoreConfig(f"{scheme}://{host}:{untouched}", "bucket", "a", "s"), "ads", ADDRESSES)
    refused = r"endpoint: '.*' is at (127\.0\.0\.1|::1), a loopback address.*; correct Secret bramble-store of namespace ads"
    for send in (lambda: store.find("k", 100), lambda: store.get("k"), lambda: store.put_once("k", b"")):
        with pytest.raises(StoreRefused, match=refused):
            send()


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        pytest.param("localhost", r"endpoint: 'localhost' is at (127\.0\.0\.1|::1), a loopback address", id="a name"),
        pytest.param("127.0.0.1", r"endpoint: '127\.0\.0\.1' is at 127\.0\.0\.1, a loopback address", id="an address"),
        pytest.param("127.1", "is not a canonical IPv4 address", id="another way to write an address"),
    ],
)
async def test_the_gateway_does_not_connect_to_such_an_address(host: str, problem: str, untouched: int) -> None:
    api = FakeApi()
    api.put(store_secret("ads", endpoint=f"http://{host}:{untouched}", bucket="bucket", accessKey="a", secretKey="s"))
    async with store_session(ADDRESSES) as session:
        stores = Stores(api, ADDRESSES, session)
        with pytest.raises((StoreRefused, StoreUnavailable), match=problem):
            await (await stores.of("ads")).find("k", 100)


def test_a_name_that_changes_after_the_check_changes_nothing(monkeypatch: pytest.MonkeyPatch, untouched: int) -> None:
    """The attack is called DNS rebinding: the first answer is a public address, each later one is the machine itself."""
    answers = iter(["203.0.113.7"])
    real = socket.getaddrinfo

    def rebound(host: str, port: int, *more: Any, **named: Any) -> Any:
        return real(next(answers, "127.0.0.1") if host == "rebound.example" else host, port, *more, **named)

    connected: list[Any] = []

    def connect(_: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    monkeypatch.setattr(socket.socket, "connect", connect)
    store = NamespaceStore(StoreConfig(f"http://rebound.example:{untouched}", "bucket", "a", "s"), "ads", ADDRESSES)
    with pytest.raises(StoreUnavailable):
        store.find("k", 100)
    assert connected == [("203.0.113.7", untouched)]
    with pytest.raises(StoreRefused, match="a loopback address"):
        store.find("k", 100)
    assert len(connected) == 1
