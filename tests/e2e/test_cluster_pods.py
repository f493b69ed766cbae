"""What pods find on the local cluster: their user, their image, their volumes, their ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.pods import Manifest, container, phase, pod, run, wait_phase
from tools.cluster import Cluster, CodePart, ImageSource

pytestmark = pytest.mark.cluster

WHO = """
import json, os, pwd, sys, yaml
def known(uid):
    try: return bool(pwd.getpwuid(uid))
    except KeyError: return False
def writable(path):
    try: open(path, "w").close()
    except OSError: return False
    return True
print(json.dumps({
    "user": [os.getuid(), os.getgid()], "pid": os.getpid(), "prefix": sys.prefix, "yaml": yaml.__file__,
    "writable": {path: writable(path + "/x") for path in ("/", "/usr", "/etc", "/opt/bramble/code", "/opt/bramble/environment")},
    "escalation": open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0],
    "capabilities": open("/proc/self/status").read().split("CapEff:")[1].split()[0],
    "known": known(os.getuid()), "home": os.path.exists("/root/.ssh"), "host": os.uname().nodename,
}))
"""


def test_the_default_cluster_is_up_within_a_minute(cluster: Cluster) -> None:
    if cluster.up_seconds is None:
        pytest.skip("this cluster was there before")
    assert cluster.up_seconds < 60


def test_a_restricted_pod_has_its_image_and_no_more_rights_than_it_should(cluster: Cluster, where: str) -> None:
    said = json.loads(run(cluster, where, WHO))
    assert said["user"] == [65532, 65532]
    assert said["pid"] == 1
    assert said["prefix"] == "/opt/bramble/environment"
    assert said["yaml"].startswith("/opt/bramble/environment/")
    assert not any(said["writable"].values()), said["writable"]
    assert said["escalation"] == "1"
    assert int(said["capabilities"], 16) == 0
    assert not said["home"]
    assert not said["known"], "no image has an entry for the user that pods run as"
    assert said["host"].startswith("run-")


def test_the_image_of_a_pod_is_reported_by_digest(cluster: Cluster, where: str) -> None:
    cluster.apply(pod("one", container(cluster, "pass")), namespace=where)
    ended = wait_phase(cluster, "one", where, "Succeeded")
    assert ended["status"]["containerStatuses"][0]["imageID"] == cluster.images["operator"]


def test_an_unknown_image_is_an_image_pull_error(cluster: Cluster, where: str) -> None:
    unknown = {**container(cluster, "pass"), "image": "bramble.local/operator@sha256:" + "0" * 64}
    cluster.apply(pod("one", unknown), namespace=where)

    def reason() -> str:
        statuses = cluster.get("pod", "one", where)["status"].get("containerStatuses", [{}])
        found: str = statuses[0].get("state", {}).get("waiting", {}).get("reason", "")
        return found

    cluster.wait(lambda: reason() in {"ErrImagePull", "ImagePullBackOff"}, 30, reason)


def test_an_exit_code_arrives(cluster: Cluster, where: str) -> None:
    cluster.apply(pod("one", container(cluster, "raise SystemExit(64)")), namespace=where)
    ended = wait_phase(cluster, "one", where, "Failed")
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 64


def test_a_killed_process_is_seen_as_137(cluster: Cluster, where: str) -> None:
    cluster.apply(pod("one", container(cluster, "import time; time.sleep(600)"), node="gpu-1"), namespace=where)
    wait_phase(cluster, "one", where, "Running")
    pids = cluster.nodes["gpu-1"].pids("one", "main", where)
    assert pids
    os.kill(pids[0], signal.SIGKILL)
    ended = wait_phase(cluster, "one", where, "Failed")
    terminated = ended["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (137, "Error")


def test_a_termination_message_arrives(cluster: Cluster, where: str) -> None:
    cluster.apply(pod("one", container(cluster, "open('/dev/termination-log', 'w').write('done well')")), namespace=where)
    ended = wait_phase(cluster, "one", where, "Succeeded")
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "done well"


def test_sigterm_comes_first_and_sigkill_after_the_grace(cluster: Cluster, where: str, tmp_path: Path) -> None:
    polite = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(75)); print('ready', flush=True); time.sleep(600)"
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    cluster.apply(pod("one", container(cluster, polite, name="polite"), container(cluster, deaf, name="deaf")), namespace=where)
    cluster.wait(lambda: [_log(cluster, where, name) for name in ("polite", "deaf")] == ["ready\n"] * 2, 30, "they do not start")
    watched = tmp_path / "watched"
    command = cluster.command("get", "pod", "one", "-n", where, "--watch", "-o", "json")
    with watched.open("wb") as out, subprocess.Popen(command, env=cluster.env, stdout=out) as watch:
        try:
            cluster.wait(lambda: _documents(watched.read_text()), 30, "kubectl does not watch")
            cluster.kubectl("delete", "pod", "one", "-n", where)
            cluster.wait(lambda: len(_codes(watched.read_text())) == 2, 30, watched.read_text)
        finally:
            watch.terminate()
    assert _codes(watched.read_text()) == {"polite": 75, "deaf": 137}


def test_logs_follow_and_exec_answers(cluster: Cluster, where: str) -> None:
    ticking = "import time\nfor i in range(600): print('tick', i, flush=True); time.sleep(0.1)"
    cluster.apply(pod("one", container(cluster, ticking)), namespace=where)
    wait_phase(cluster, "one", where, "Running")
    with subprocess.Popen(
        cluster.command("logs", "--follow", "one", "-n", where), env=cluster.env, stdout=subprocess.PIPE, text=True
    ) as follow:
        assert follow.stdout is not None
        assert [follow.stdout.readline() for _ in range(15)] == [f"tick {number}\n" for number in range(15)]
        follow.terminate()
    script = "import os, sys; print(os.getuid(), sys.stdin.read()); print('oh', file=sys.stderr); sys.exit(3)"
    done = subprocess.run(
        cluster.command("exec", "-i", "one", "-n", where, "--", "python", "-c", script),
        env=cluster.env, input="from outside", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "65532 from outside\n")
    assert "oh\n" in done.stderr


def test_a_changed_config_map_reaches_its_volume_within_seconds(cluster: Cluster, where: str) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"x": "one"}}
    cluster.apply(settings, namespace=where)
    waiting = "import time\nwhile open('/settings/x').read() != 'two': time.sleep(0.05)"
    mounted = container(cluster, waiting, volumeMounts=[{"name": "settings", "mountPath": "/settings"}])
    cluster.apply(pod("one", mounted, volumes=[{"name": "settings", "configMap": {"name": "settings"}}]), namespace=where)
    wait_phase(cluster, "one", where, "Running")
    cluster.apply({**settings, "data": {"x": "two"}}, namespace=where)
    wait_phase(cluster, "one", where, "Succeeded", timeout=30)


def test_init_container_and_sidecar_share_a_volume_with_the_main_one(cluster: Cluster, where: str) -> None:
    mounts = [{"name": "work", "mountPath": "/work"}, {"name": "work", "mountPath": "/part", "subPath": "part"}]
    fetch = container(cluster, "open('/part/input', 'w').write('data')", name="fetch", volumeMounts=mounts)
    upload = (
        "import os, time\nwhile not os.path.exists('/work/out'): time.sleep(0.05)\nos.rename('/work/out', '/work/sent'); time.sleep(600)"
    )
    sidecar = container(cluster, upload, name="store", restartPolicy="Always", volumeMounts=mounts)
    train = container(
        cluster,
        "import os, time\nassert open('/work/part/input').read() == 'data'\nopen('/work/out', 'w').close()\n"
        "while not os.path.exists('/work/sent'): time.sleep(0.05)\nassert os.statvfs('/dev/shm').f_blocks",
        name="train",
        volumeMounts=mounts,
    )
    spec = pod("one", train, initContainers=[fetch, sidecar], volumes=[{"name": "work", "emptyDir": {}}])
    cluster.apply(spec, namespace=where)
    wait_phase(cluster, "one", where, "Succeeded")


def test_a_projected_token_is_good_for_the_api_server(cluster: Cluster, where: str) -> None:
    code = """
import json, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
request = urllib.request.Request("https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews", method="POST",
    data=json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode(),
    headers={"Authorization": "Bearer " + open(folder + "token").read(), "Content-Type": "application/json"})
answer = urllib.request.urlopen(request, context=ssl.create_default_context(cafile=folder + "ca.crt"))
user = json.load(answer)["status"]["userInfo"]
print(user["username"], user["extra"]["authentication.kubernetes.io/node-name"][0])
"""
    cluster.apply(pod("one", container(cluster, code), node="board-1", automountServiceAccountToken=True), namespace=where)
    wait_phase(cluster, "one", where, "Succeeded", "Failed")
    assert cluster.kubectl("logs", "one", "-n", where) == f"system:serviceaccount:{where}:default board-1\n"


def test_gpus_are_given_one_each(cluster: Cluster, where: str) -> None:
    waiting = container(cluster, "import time; time.sleep(600)", resources={"limits": {"nvidia.com/gpu": "1"}})
    for number in range(3):
        cluster.apply(pod(f"gpu{number}", waiting), namespace=where)
    cluster.wait(
        lambda: sorted(phase(cluster, f"gpu{number}", where) for number in range(3)) == ["Pending", "Running", "Running"],
        30,
        lambda: cluster.kubectl("get", "pods", "-n", where, "-o", "wide"),
    )
    used = {each["spec"].get("nodeName") for each in cluster.list("pods", where)}
    assert used == {"gpu-1", "gpu-2", None}


def test_a_users_own_image_can_be_added(cluster: Cluster, where: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    script = tmp_path_factory.mktemp("image") / "mine.py"
    script.write_text("import aiohttp; print('mine')")
    reference = cluster.add_image(ImageSource("mine", "operator", (CodePart(script, "mine.py"),)))
    mine = {**container(cluster, "import mine"), "image": reference}
    cluster.apply(pod("one", mine), namespace=where)
    wait_phase(cluster, "one", where, "Succeeded", "Failed")
    assert cluster.kubectl("logs", "one", "-n", where) == "mine\n"


def test_a_host_path_is_a_folder_of_its_node(cluster: Cluster) -> None:
    """In kube-system, where Pod Security admission lets it be: the edge namespace's policy comes with the chart."""
    path = {"path": "/var/lib/bramble/e2e", "type": "DirectoryOrCreate"}
    code = "import os; open('/slots/who', 'w').write(os.environ['NODE'])"
    nodes = ("board-1", "board-2")
    for node in nodes:
        writer = container(cluster, code, env=[{"name": "NODE", "value": node}], volumeMounts=[{"name": "slots", "mountPath": "/slots"}])
        as_root = {**writer, "securityContext": {"runAsUser": 0}}
        spec = pod(f"slots-{node}", as_root, node=node, volumes=[{"name": "slots", "hostPath": path}], securityContext={})
        cluster.apply(spec, namespace="kube-system")
    try:
        for node in nodes:
            wait_phase(cluster, f"slots-{node}", "kube-system", "Succeeded")
            assert (cluster.nodes[node].host_path("/var/lib/bramble") / "e2e" / "who").read_text() == node
    finally:
        cluster.kubectl("delete", "pod", *(f"slots-{node}" for node in nodes), "-n", "kube-system", "--wait=false")


def _log(cluster: Cluster, where: str, name: str) -> str:
    done = subprocess.run(
        cluster.command("logs", "one", "-c", name, "-n", where), env=cluster.env, capture_output=True, text=True, check=False
    )
    return done.stdout


def _documents(text: str) -> list[Manifest]:
    """The whole JSON documents of a watch, which stand one after the other; the last may still be written."""
    decoder, found, rest = json.JSONDecoder(), [], text.lstrip()
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except json.JSONDecodeError:
            break
        found.append(document)
        rest = rest[end:].lstrip()
    return found


def _codes(watched: str) -> dict[str, int]:
    """Exit code of each container that had ended when the pod was last seen."""
    states = {each["name"]: each["state"] for each in _documents(watched)[-1]["status"]["containerStatuses"]}
    return {name: state["terminated"]["exitCode"] for name, state in states.items() if "terminated" in state}
