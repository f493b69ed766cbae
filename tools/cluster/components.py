"""Command lines of every process of a cluster. Pure: state folder and addresses in, commands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import addresses
from tools.cluster.addresses import NodeAddress
from tools.cluster.process import Command
from tools.cluster.runtimes.base import Runtime
from tools.cluster.state import State

STORE_REGION = "us-east-1"


@dataclass(frozen=True)
class Components:
    """Commands of one cluster, given where its binaries are."""

    state: State
    binaries: Mapping[str, str]
    runtime: Runtime

    def _command(self, name: str, binary: str, *arguments: str, **environment: str) -> Command:
        return Command(name, (self.binaries[binary], *arguments), environment)

    def _config(self, name: str) -> str:
        return str(self.state.configs / name)

    def _identity(self, name: str) -> tuple[Path, Path]:
        return self.state.pki / f"{name}.crt", self.state.pki / f"{name}.key"

    def etcd(self) -> Command:
        """In the router's namespace, whose loopback nobody else can reach; without fsync, since nothing has to survive the machine."""
        client, peer = f"http://127.0.0.1:{addresses.ETCD_PORT}", "http://127.0.0.1:2380"
        return self._command(
            "etcd",
            "etcd",
            f"--data-dir={self.state.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def apiserver(self, *, controllers: bool = True) -> Command:
        """Without controllers nobody makes service accounts, so admission must not ask for them."""
        certificate, key = self._identity("apiserver")
        kubelet_certificate, kubelet_key = self._identity("apiserver-kubelet-client")
        proxy_certificate, proxy_key = self._identity("front-proxy-client")
        authority, pki = self.state.pki / "ca.crt", self.state.pki
        return self._command(
            "kube-apiserver",
            "kube-apiserver",
            f"--advertise-address={addresses.CORE}",
            f"--secure-port={addresses.API_PORT}",
            f"--etcd-servers=http://127.0.0.1:{addresses.ETCD_PORT}",
            f"--service-cluster-ip-range={addresses.SERVICE_CIDR}",
            f"--client-ca-file={authority}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--kubelet-certificate-authority={authority}",
            f"--kubelet-client-certificate={kubelet_certificate}",
            f"--kubelet-client-key={kubelet_key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={proxy_certificate}",
            f"--proxy-client-key-file={proxy_key}",
            "--enable-aggregator-routing=true",  # webhooks by endpoint: no kube-proxy runs in the router's namespace
            f"--service-account-issuer=https://kubernetes.default.svc.{addresses.CLUSTER_DOMAIN}",
            f"--service-account-key-file={pki / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--admission-control-config-file={self._config('admission.json')}",
            f"--audit-policy-file={self._config('audit.json')}",
            f"--audit-log-path={self.state.audit_log}",
            "--allow-privileged=true",
            "--profiling=false",
            *(() if controllers else ("--disable-admission-plugins=ServiceAccount",)),
        )

    def controller_manager(self) -> Command:
        """Grace 12 s against a node's report every 5 s and lease of 8 s: a lost node is NotReady within 13 s."""
        config, pki = self._config("kube-controller-manager.kubeconfig"), self.state.pki
        return self._command(
            "kube-controller-manager",
            "kube-controller-manager",
            *self._kubeconfigs(config),
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki / 'service-accounts.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            f"--cert-dir={self.state.folder / 'certificates'}",
            f"--flex-volume-plugin-dir={self.state.folder / 'volume-plugins'}",
            "--allocate-node-cidrs=false",
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=12s",
            "--node-eviction-rate=10",
            "--secondary-node-eviction-rate=10",
            "--kube-api-qps=500",
            "--kube-api-burst=500",
            "--profiling=false",
        )

    def scheduler(self) -> Command:
        config = self._config("kube-scheduler.kubeconfig")
        return self._command(
            "kube-scheduler",
            "kube-scheduler",
            *self._kubeconfigs(config),
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            f"--cert-dir={self.state.folder / 'certificates'}",
            "--profiling=false",
        )

    @staticmethod
    def _kubeconfigs(config: str) -> tuple[str, ...]:
        return (f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}")

    def coredns(self) -> Command:
        return self._command("coredns", "coredns", "-conf", self._config("Corefile"))

    def store(self, access_key: str, secret_key: str) -> Command:
        return self._command(
            "versitygw",
            "versitygw",
            f"--port={addresses.CORE}:{addresses.STORE_PORT}",
            f"--region={STORE_REGION}",
            "posix",
            str(self.state.store),
            ROOT_ACCESS_KEY=access_key,
            ROOT_SECRET_KEY=secret_key,
        )

    def cri(self, name: str, place: NodeAddress) -> Command:
        return self.runtime.command(self.state, self.binaries, name, place)

    def kubelet(self, name: str, place: NodeAddress) -> Command:
        folder = self.state.node(name)
        return self._command(
            f"{name}/kubelet",
            "kubelet",
            f"--config={self._config(f'kubelet-{name}.json')}",
            f"--kubeconfig={self._config(f'node-{name}.kubeconfig')}",
            f"--hostname-override={name}",
            f"--node-ip={place.address}",
            f"--root-dir={folder / 'kubelet'}",
            f"--cert-dir={folder / 'certificates'}",
        )

    def kube_proxy(self, name: str) -> Command:
        return self._command(f"{name}/kube-proxy", "kube-proxy", f"--config={self._config(f'kube-proxy-{name}.json')}")
