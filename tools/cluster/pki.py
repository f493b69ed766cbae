"""Certificates and keys of one cluster: ECDSA P-256, valid for a week, made anew for each cluster.

Names follow https://kubernetes.io/docs/setup/best-practices/certificates/.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.cluster import addresses
from tools.cluster.shape import Shape

VALID = timedelta(days=7)
CLOCK_SKEW = timedelta(hours=1)
API_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
MASTERS = "system:masters"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, on disk."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority that writes what it issues into one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._subject, self._subject, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        builder = builder.add_extension(_usage(authority=True), critical=True)
        self.pair = _write(folder, name, builder.sign(self._key, hashes.SHA256()), self._key)

    def issue(self, name: str, *, common_name: str, organization: str | None = None, hosts: tuple[str, ...] = ()) -> Pair:
        """A certificate for a client, or for a server too where `hosts` (names and addresses) are given."""
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization is not None:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = _builder(x509.Name(attributes), self._subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        return _write(self._folder, name, builder.sign(self._key, hashes.SHA256()), key)


def make(folder: Path, shape: Shape) -> None:
    """Everything that the control plane and the nodes of this shape identify themselves with.

    File names are the contract with `components` and `kubeconfigs`: `<name>.crt` and `<name>.key`.
    """
    cluster = Authority(folder, "ca")
    api_hosts = (*API_NAMES, "127.0.0.1", addresses.CORE, addresses.API_SERVICE)
    cluster.issue("apiserver", common_name="kube-apiserver", hosts=api_hosts)
    cluster.issue("apiserver-kubelet-client", common_name="kube-apiserver-kubelet-client", organization=MASTERS)
    cluster.issue("admin", common_name="kubernetes-admin", organization=MASTERS)
    cluster.issue("supervisor", common_name="bramble-cluster-supervisor", organization=MASTERS)
    for component in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        cluster.issue(component, common_name=f"system:{component}")
    cluster.issue("coredns", common_name="system:coredns")
    for name, place in addresses.node_addresses(shape).items():
        cluster.issue(f"node-{name}", common_name=f"system:node:{name}", organization="system:nodes", hosts=(name, place.address))
    Authority(folder, "front-proxy-ca").issue("front-proxy-client", common_name="front-proxy-client")
    service_accounts = ec.generate_private_key(ec.SECP256R1())
    (folder / "service-accounts.key").write_bytes(_private(service_accounts))
    (folder / "service-accounts.pub").write_bytes(
        service_accounts.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(_private(key))
    pair.key.chmod(0o600)
    return pair
