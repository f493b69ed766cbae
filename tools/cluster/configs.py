"""Configuration files of the components, as data. JSON throughout: every one of them reads YAML, of which JSON is a part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.cluster import addresses
from tools.cluster.addresses import NodeAddress
from tools.cluster.runtimes import runtime_named
from tools.cluster.runtimes.base import cri_socket, host_paths
from tools.cluster.shape import Shape
from tools.cluster.state import State

SYSTEM_NAMESPACE = "kube-system"
HOST_PATHS = ("/var/lib/bramble",)
"""hostPath prefixes that get a folder of their own on each node: all nodes share one host, and the edge runtime keeps its slots there."""

CORE_FILE = """\
{domain}:53 in-addr.arpa:53 {{
    bind {core}
    errors
    ready 127.0.0.1:8181
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
.:53 {{
    bind {core}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""
"""Two blocks, since `template` comes before `kubernetes` in CoreDNS whatever their order here. No forward plugin: a name outside the
cluster does not exist. No cache: answers come from memory anyway, and a headless name asked for before its pod runs must not be
remembered as missing."""


def kubeconfig(state: State, identity: str, server: str) -> dict[str, Any]:
    """A kubeconfig that holds no secrets but paths to them, so that it must stay in place."""
    pki = state.pki
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bramble", "cluster": {"server": server, "certificate-authority": str(pki / "ca.crt")}}],
        "users": [
            {
                "name": identity,
                "user": {"client-certificate": str(pki / f"{identity}.crt"), "client-key": str(pki / f"{identity}.key")},
            }
        ],
        "contexts": [{"name": "bramble", "context": {"cluster": "bramble", "user": identity}}],
        "current-context": "bramble",
    }


def admission(shape: Shape) -> dict[str, Any]:
    """Pod Security `restricted` for every namespace but the system's and the edge's.

    https://kubernetes.io/docs/tasks/configure-pod-container/enforce-standards-admission-controller/
    """
    pod_security = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {
            f"{mode}{version}": value
            for mode in ("enforce", "audit", "warn")
            for version, value in (("", "restricted"), ("-version", "latest"))
        },
        "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": [SYSTEM_NAMESPACE, shape.edge_namespace]},
    }
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "PodSecurity", "configuration": pod_security}],
    }


def audit_policy() -> dict[str, Any]:
    """Who did which verb on what, once a request is answered; components of the cluster itself are left out."""
    components = [
        "system:apiserver",
        "system:coredns",
        "system:kube-controller-manager",
        "system:kube-proxy",
        "system:kube-scheduler",
        "bramble-cluster-supervisor",
    ]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": components},
            {"level": "None", "userGroups": ["system:nodes", f"system:serviceaccounts:{SYSTEM_NAMESPACE}"]},
            {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/openapi*", "/version", "/metrics"]},
            {"level": "Metadata"},
        ],
    }


def kubelet(state: State, name: str, place: NodeAddress) -> dict[str, Any]:
    """KubeletConfiguration of one node.

    syncFrequency is 2 s, not a minute: a changed ConfigMap or Secret reaches its volume at a pod's next sync, and tests wait for that.
    Everything that wants cgroups or eviction is off: containers here have no limits (docs/local-cluster.md).
    """
    folder = state.node(name)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": place.address,
        "port": addresses.KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "containerRuntimeEndpoint": f"unix://{cri_socket(state, name)}",
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(state.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(state.pki / f"node-{name}.crt"),
        "tlsPrivateKeyFile": str(state.pki / f"node-{name}.key"),
        "clusterDomain": addresses.CLUSTER_DOMAIN,
        "clusterDNS": [addresses.DNS_SERVICE],
        "resolvConf": str(state.configs / "resolv.conf"),
        "syncFrequency": "2s",
        "nodeStatusUpdateFrequency": "5s",
        "nodeLeaseDurationSeconds": 8,
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "168h",
        "evictionHard": {
            "memory.available": "1Mi",
            "nodefs.available": "0.01%",
            "nodefs.inodesFree": "0.01%",
            "imagefs.available": "0.01%",
            "imagefs.inodesFree": "0.01%",
        },
        "serializeImagePulls": False,
        "eventRecordQPS": 0,
        "registryPullQPS": 0,
        "maxPods": 200,
        "featureGates": {"KubeletInUserNamespace": True},
    }


def kube_proxy(state: State, name: str, place: NodeAddress) -> dict[str, Any]:
    """KubeProxyConfiguration of one node: nftables, and no change to connection tracking, whose limits are the host's."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": place.address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "hostnameOverride": name,
        "clientConnection": {"kubeconfig": str(state.configs / "kube-proxy.kubeconfig")},
        "clusterCIDR": addresses.POD_CIDR,
        "detectLocalMode": "ClusterCIDR",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "0.2s"},
    }


def write(state: State, shape: Shape) -> None:
    """Every file that a component of this shape is started with."""
    inside = f"https://{addresses.CORE}:{addresses.API_PORT}"
    identities = ["supervisor", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"]
    for identity in (*identities, *(f"node-{node.name}" for node in shape.nodes)):
        state.write_json(state.configs / f"{identity}.kubeconfig", kubeconfig(state, identity, inside))
    state.write_json(state.configs / "admission.json", admission(shape))
    state.write_json(state.configs / "audit.json", audit_policy())
    (state.configs / "resolv.conf").write_text(f"nameserver {addresses.DNS_SERVICE}\n")
    (state.configs / "Corefile").write_text(
        CORE_FILE.format(core=addresses.CORE, domain=addresses.CLUSTER_DOMAIN, kubeconfig=state.configs / "coredns.kubeconfig")
    )
    for name, place in addresses.node_addresses(shape).items():
        folder = state.node(name)
        for part in ("kubelet", "pod-logs", "volume-plugins"):
            (folder / part).mkdir(parents=True)
        state.write_json(state.configs / f"kubelet-{name}.json", kubelet(state, name, place))
        state.write_json(state.configs / f"kube-proxy-{name}.json", kube_proxy(state, name, place))
        state.write_json(host_paths(state, name), {path: str(_host_folder(folder, path)) for path in HOST_PATHS})
        runtime_named(shape.runtime).prepare(state, name, place)


def _host_folder(folder: Path, path: str) -> Path:
    mapped = folder / "host-paths" / path.strip("/").replace("/", "-")
    mapped.mkdir(parents=True)
    return mapped
