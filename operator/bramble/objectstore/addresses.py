"""Which addresses the store of a namespace may have, for the operator and the gateway.

A tenant writes the endpoint, and these two processes can reach what the tenant cannot: their own ports, the metadata service of the cloud,
the API server. So the address itself is checked, after a name was resolved, and the connection goes to the address that was checked. A
name that resolves to something else a moment later changes nothing.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bramble.contracts.store import StoreError

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool, PoolManager

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Networks = tuple[Network, ...]

METADATA: Networks = tuple(
    map(
        ip_network,
        (
            "100.100.100.200/32",  # https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
            "168.63.129.16/32",  # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
            "192.0.0.192/32",  # Oracle Cloud Infrastructure Classic
            "fd00:ec2::/32",  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
            "fd20:ce::254/128",  # https://cloud.google.com/compute/docs/metadata/querying-metadata
        ),
    )
)
"""Metadata services of clouds that are not link-local, as most are."""

THIS_NETWORK = ip_network("0.0.0.0/8")
"""RFC 1122, 3.2.1.3. On Linux, a connection to 0.0.0.0 goes to the host itself."""

NAT64 = ip_network("64:ff9b::/96")
"""The IPv6 form of all IPv4 addresses in a cluster that has IPv6 only (RFC 6052)."""

PORTS = {"http": 80, "https": 443}

KINDS = ("is_unspecified", "is_loopback", "is_link_local", "is_multicast", "is_reserved")


class AddressRefused(StoreError):
    """The endpoint leads to an address that no store may have."""


class Addresses:
    """The addresses that stores may have: all but those of the machine itself, of metadata services and of the API server.

    Args:
        allowed: networks in which a store may be although it would be refused. They never allow the API server.
        api_server: URL of the API server. Its name is resolved once; that of a pod is an address.
    """

    def __init__(self, allowed: Networks, api_server: str) -> None:
        self._allowed = allowed
        url = urlsplit(api_server)
        self._api_server = _addresses(url.hostname or "", url.port or PORTS["https"])

    def check(self, host: str, address: str, port: int) -> None:
        """Check an address before a connection to it is made.

        Args:
            host: the host of the endpoint, for the message.
            address: what the host stands for.
            port: the port of the endpoint.

        Raises:
            AddressRefused: no store may have this address.
        """
        found = _unwrapped(ip_address(address.partition("%")[0]))
        at = f"endpoint: {host!r} is at {address}"
        if (found, port) in self._api_server:
            raise AddressRefused(f"{at}, which is the cluster's API server; write the address of a store")
        if any(found.version == network.version and found in network for network in self._allowed):
            return
        if (kind := _kind(found)) is not None:
            setting = "the chart's value stores.allowedNetworks"
            raise AddressRefused(f"{at}, {kind}; write the address of a store, or ask an administrator to allow this one by {setting}")

    def check_literal(self, endpoint: str) -> None:
        """Check an endpoint without asking the DNS: only one that has an address instead of a name can be refused. Raises as `check`."""
        url = urlsplit(endpoint)
        try:
            address = str(ip_address((url.hostname or "").partition("%")[0]))
        except ValueError:
            return
        self.check(url.hostname or "", address, url.port or PORTS[url.scheme])

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of which are checked. Blocks.

        Raises:
            AddressRefused: one of them may not be that of a store.
            OSError: the name cannot be resolved.
        """
        found = list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        for address in found:
            self.check(host, address, port)
        return found

    def guard(self, pools: PoolManager) -> None:
        """Let these connections be made only to addresses that were checked."""
        pools.pool_classes_by_scheme = _pool_classes(self)


def _pool_classes(addresses: Addresses) -> dict[str, type[HTTPConnectionPool]]:
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.util.connection import create_connection

    class Checked(HTTPConnection):
        """Resolves the name itself, so that nothing resolves it again between the check and the connection."""

        def _new_conn(self) -> socket.socket:
            *others, last = addresses.resolve(self.host, self.port or 0)
            for address in others:
                try:
                    return self._connected(address)
                except OSError:
                    continue
            return self._connected(last)

        def _connected(self, address: str) -> socket.socket:
            return create_connection((address, self.port or 0), self.timeout, self.source_address, self.socket_options)

    class CheckedTls(Checked, HTTPSConnection):
        """The same with TLS, for the name and not for the address."""

    class Pool(HTTPConnectionPool):
        ConnectionCls = Checked

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = CheckedTls

    return {"http": Pool, "https": TlsPool}


def _addresses(host: str, port: int) -> frozenset[tuple[Address, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset((_unwrapped(ip_address(str(info[4][0]).partition("%")[0])), port) for info in found)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where packets go to the former."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _kind(address: Address) -> str | None:
    """What kind of address this is, if no store may have it."""
    for kind in KINDS:
        if getattr(address, kind):
            words = kind.removeprefix("is_").replace("_", "-")
            return f"{'an' if words[0] in 'aeiou' else 'a'} {words} address"
    if address.version == THIS_NETWORK.version and address in THIS_NETWORK:
        return "an unspecified address"
    if any(address.version == network.version and address in network for network in METADATA):
        return "the address of a cloud's metadata service"
    return None
