"""What the edge namespace's admission policy lets in, tried on a real API server."""

import copy
import json
import re
from contextlib import nullcontext
from typing import Any

import pytest

from tests.chart.edge_pods import FOLDER, NAMESPACE, Change, Pod, agent, drop, node_setup, put, restricted
from tools.cluster.errors import KubectlFailed
from tools.cluster.providers.base import AnyCluster

pytestmark = pytest.mark.cluster

MAIN = "spec|containers|0|securityContext"
INIT = "spec|initContainers|0|securityContext"
POD = "spec|securityContext"
PROBE = "spec|containers|0|livenessProbe"
HOOK = "spec|containers|0|lifecycle|preStop"
ELSEWHERE = {"httpGet": {"host": "10.0.0.1", "path": "/", "port": 80}}
OF_THE_NODE = {"type": "Localhost", "localhostProfile": "a.json"}
SHARE = {"name": "tmp", "nfs": {"server": "a", "path": "/"}}
DEVICE_FOLDER = {"name": "slots", "hostPath": {"path": FOLDER, "type": "Directory"}}


def unchanged(_: Pod) -> None: ...


def submit(cluster: AnyCluster, pod: Pod, change: Change) -> None:
    """Admission as for a real pod, without storing one."""
    document = copy.deepcopy(pod)
    change(document)
    cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(document))


@pytest.mark.parametrize(
    ("pod", "change"),
    [
        pytest.param(restricted(), unchanged, id="a restricted pod of any account"),
        pytest.param(agent(), unchanged, id="the agent with its folder"),
        pytest.param(node_setup(), unchanged, id="node-setup as root with the same folder"),
        pytest.param(restricted(), put(f"{MAIN}|capabilities|add", ["NET_BIND_SERVICE"]), id="the one capability that restricted allows"),
        pytest.param(restricted(), put(f"{POD}|sysctls", [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]), id="a safe sysctl"),
        pytest.param(restricted(), put(f"{MAIN}|seccompProfile", OF_THE_NODE), id="a seccomp profile of the node's"),
        pytest.param(agent(), put(PROBE, {"httpGet": {"path": "/", "port": 80}}), id="a probe of the pod itself"),
    ],
)
def test_allowed(chart_api: AnyCluster, pod: Pod, change: Change) -> None:
    submit(chart_api, pod, change)


REFUSED: list[tuple[str, Pod, Change, str]] = [
    ("host network", agent(), put("spec|hostNetwork", True), "hostNetwork"),
    ("host processes", agent(), put("spec|hostPID", True), "hostPID"),
    ("host IPC", node_setup(), put("spec|hostIPC", True), "hostIPC"),
    ("a Windows host process", restricted(), put(f"{POD}|windowsOptions", {"hostProcess": True}), "hostProcess"),
    ("a privileged container", node_setup(), put(f"{MAIN}|privileged", True), "privileged"),
    ("a privileged init container", node_setup(), put(f"{INIT}|privileged", True), "privileged"),
    ("capabilities kept", agent(), drop(f"{MAIN}|capabilities"), "capabilities.drop"),
    ("a capability that nobody gets", node_setup(), put(f"{MAIN}|capabilities|add", ["SYS_ADMIN"]), "CHOWN, DAC_OVERRIDE and FOWNER only"),
    ("node-setup's capability for the agent", agent(), put(f"{MAIN}|capabilities|add", ["CHOWN"]), "NET_BIND_SERVICE only"),
    ("a volume of the network", restricted(), put("spec|volumes|0", SHARE), "volumes may be"),
    ("the folder for another account", restricted(), put("spec|volumes|0", DEVICE_FOLDER), "only the service accounts"),
    ("another folder for the agent", agent(), put("spec|volumes|-1|hostPath|path", "/etc"), "must be /var/lib/bramble"),
    ("a folder below the folder", agent(), put("spec|volumes|-1|hostPath|path", f"{FOLDER}/.."), "must not contain '..'"),
    ("the agent making the folder", agent(), put("spec|volumes|-1|hostPath|type", "DirectoryOrCreate"), "of type Directory"),
    ("a folder of no type", agent(), drop("spec|volumes|-1|hostPath|type"), "of type Directory"),
    ("a socket for node-setup", node_setup(), put("spec|volumes|-1|hostPath|type", "Socket"), "of type DirectoryOrCreate"),
    ("a port of the device", agent(), put("spec|containers|0|ports", [{"containerPort": 80, "hostPort": 80}]), "hostPort"),
    ("a probe that goes elsewhere", agent(), put(PROBE, ELSEWHERE), "may not name a host"),
    ("a hook that goes elsewhere", agent(), put(HOOK, ELSEWHERE), "may not name a host"),
    ("no AppArmor", agent(), put(f"{MAIN}|appArmorProfile", {"type": "Unconfined"}), "appArmorProfile"),
    ("an SELinux type of the host", agent(), put(f"{POD}|seLinuxOptions", {"type": "spc_t"}), "seLinuxOptions"),
    ("an SELinux user", agent(), put(f"{MAIN}|seLinuxOptions", {"user": "system_u"}), "seLinuxOptions"),
    ("an open /proc", agent(), put(f"{MAIN}|procMount", "Unmasked"), "procMount"),
    ("an unsafe sysctl", agent(), put(f"{POD}|sysctls", [{"name": "kernel.msgmax", "value": "1"}]), "sysctls"),
    ("more rights by exec", agent(), drop(f"{MAIN}|allowPrivilegeEscalation"), "allowPrivilegeEscalation"),
    ("more rights by exec in an init container", agent(), put(f"{INIT}|allowPrivilegeEscalation", True), "allowPrivilegeEscalation"),
    ("root that is not ruled out", agent(), drop(f"{POD}|runAsNonRoot"), "runAsNonRoot"),
    ("root allowed again by a container", agent(), put(f"{MAIN}|runAsNonRoot", False), "runAsNonRoot"),
    ("the root user", agent(), put(f"{POD}|runAsUser", 0), "runAsUser"),
    ("the root user in an init container", restricted(), put(f"{INIT}|runAsUser", 0), "runAsUser"),
    ("no seccomp profile", agent(), drop(f"{POD}|seccompProfile"), "seccompProfile"),
    ("seccomp taken off by a container", node_setup(), put(f"{MAIN}|seccompProfile", {"type": "Unconfined"}), "seccompProfile"),
]


@pytest.mark.parametrize(("pod", "change", "message"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused(chart_api: AnyCluster, pod: Pod, change: Change, message: str) -> None:
    with pytest.raises(KubectlFailed, match=re.escape(message)):
        submit(chart_api, pod, change)


@pytest.mark.parametrize(
    ("container", "message"),
    [
        pytest.param({}, None, id="a restricted one"),
        pytest.param({"volumeMounts": [{"name": "slots", "mountPath": FOLDER}]}, "may not mount the device's folder", id="with the folder"),
        pytest.param({"securityContext": {"privileged": True}}, "privileged", id="privileged"),
        pytest.param({"securityContext": None}, "capabilities.drop", id="with no security context"),
    ],
)
def test_ephemeral_containers(chart_api: AnyCluster, container: dict[str, Any], message: str | None) -> None:
    pod = agent("debugged")
    debugger = {**copy.deepcopy(pod["spec"]["initContainers"][0]), "name": "debugger", **container}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/debugged"
    chart_api.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    try:
        stored = json.loads(chart_api.kubectl("get", "--raw", path))
        stored["spec"]["ephemeralContainers"] = [debugger]
        with pytest.raises(KubectlFailed, match=re.escape(message)) if message else nullcontext():
            chart_api.kubectl("replace", "--raw", f"{path}/ephemeralcontainers", "-f", "-", stdin=json.dumps(stored))
    finally:
        chart_api.kubectl("delete", "pod", "debugged", "-n", NAMESPACE, "--grace-period=0", "--force")
