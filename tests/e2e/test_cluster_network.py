"""Names, Services and ways in: between nodes, on one node, from the host, and none to the outside."""

from __future__ import annotations

import urllib.request

import pytest

from tests.e2e.pods import EDGE_TOLERATION, Manifest, container, http_server, pod, pod_spec, run, service, wait_phase
from tools.cluster import Cluster
from tools.cluster.audit import audit_events_in
from tools.cluster.waiting import wait

pytestmark = pytest.mark.cluster

FETCH = """
import time, urllib.request
deadline = time.monotonic() + 20
while True:
    try:
        print(urllib.request.urlopen("http://{host}:{port}/", timeout=5).read().decode()); break
    except OSError:
        if time.monotonic() > deadline: raise
        time.sleep(0.1)
"""
PEERS = """
import os, socket, time
rank = int(os.environ["JOB_COMPLETION_INDEX"])
if rank == 0:
    server = socket.create_server(("", 29500))
    for _ in range(2):
        connection, peer = server.accept(); connection.sendall(b"hello"); connection.close()
else:
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = socket.create_connection(("peers-0.peers", 29500), timeout=5); break
        except OSError:
            if time.monotonic() > deadline: raise
            time.sleep(0.1)
    assert connection.recv(5) == b"hello"
print("rank", rank, "is done")
"""


def test_workers_of_an_indexed_job_find_each_other_by_name(cluster: Cluster, where: str) -> None:
    job: Manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "peers"},
        "spec": {
            "completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimit": 0,
            "template": {"spec": {**pod_spec(container(cluster, PEERS)), "subdomain": "peers"}},
        },
    }  # fmt: skip
    headless = service("peers", {"job-name": "peers"}, 29500, clusterIP="None", publishNotReadyAddresses=True)
    cluster.apply(headless, job, namespace=where)

    def complete() -> bool:
        conditions = cluster.get("job", "peers", where)["status"].get("conditions", [])
        return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)

    cluster.wait(complete, 60, lambda: cluster.kubectl("describe", "pods", "-n", where), interval=0.2)


@pytest.mark.parametrize(("server", "client"), [("gpu-1", "gpu-2"), ("gpu-1", "gpu-1"), ("board-1", "control")])
def test_a_cluster_address_is_reached_between_nodes_and_on_one(cluster: Cluster, where: str, server: str, client: str) -> None:
    cluster.apply(
        pod("server", container(cluster, http_server("it is me")), labels={"app": "server"}, node=server),
        service("server", {"app": "server"}, 8080),
        namespace=where,
    )
    assert run(cluster, where, FETCH.format(host="server", port=8080), node=client) == "it is me\n"


def test_a_service_for_its_own_node_reaches_no_other(cluster: Cluster, where: str) -> None:
    for node in ("board-1", "board-2"):
        cluster.apply(pod(f"on-{node}", container(cluster, http_server(node)), labels={"app": "edge"}, node=node), namespace=where)
    cluster.apply(service("edge", {"app": "edge"}, 8080, internalTrafficPolicy="Local"), namespace=where)
    for node in ("board-1", "board-2"):
        wait_phase(cluster, f"on-{node}", where, "Running")
        assert run(cluster, where, FETCH.format(host="edge", port=8080), node=node) == f"{node}\n"


def test_a_daemon_set_is_ready_on_every_board(cluster: Cluster, where: str) -> None:
    probed = container(cluster, http_server("ok"), readinessProbe={"httpGet": {"port": 8080}, "periodSeconds": 1})
    template = pod_spec(probed, restartPolicy="Always", tolerations=[EDGE_TOLERATION], nodeSelector={"bramble.dev/board": "virtual"})
    daemons: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agents"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": template}},
    }
    cluster.apply(daemons, namespace=where)
    boards = len([node for node in cluster.shape.nodes if node.labels.get("bramble.dev/board")])
    cluster.wait(
        lambda: cluster.get("daemonset", "agents", where)["status"].get("numberReady") == boards,
        60,
        lambda: cluster.kubectl("describe", "pods", "-n", where),
        interval=0.2,
    )


def test_nothing_outside_can_be_named_or_reached(cluster: Cluster, where: str) -> None:
    code = """
import errno, socket
try: socket.getaddrinfo("kubernetes.io", 443); print("named")
except socket.gaierror as error: print("unnamed", error.errno == socket.EAI_NONAME)
try: socket.create_connection(("192.0.2.1", 80), timeout=3); print("reached")
except OSError as error: print("unreachable", error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH))
"""
    assert run(cluster, where, code) == "unnamed True\nunreachable True\n"


def test_the_store_answers_pods_by_name_and_the_host_by_relay(cluster: Cluster, where: str) -> None:
    s3 = cluster.s3
    inside = s3.pod_endpoint.removeprefix("http://")
    code = f"""
from minio import Minio
import io
store = Minio({inside!r}, access_key={s3.access_key!r}, secret_key={s3.secret_key!r}, secure=False, region={s3.region!r})
store.put_object({s3.bucket!r}, {where!r} + "/one", io.BytesIO(b"from a pod"), 10)
"""
    run(cluster, where, code)
    from minio import Minio

    host = Minio(
        s3.host_endpoint.removeprefix("http://"), access_key=s3.access_key, secret_key=s3.secret_key, secure=False, region=s3.region
    )
    answer = host.get_object(s3.bucket, f"{where}/one")
    assert answer.data == b"from a pod"
    answer.close()
    answer.release_conn()


def test_a_service_is_forwarded_to_the_host(cluster: Cluster, where: str) -> None:
    cluster.apply(
        pod("server", container(cluster, http_server("from inside")), labels={"app": "server"}, node="gpu-2"),
        service("server", {"app": "server"}, 8080),
        namespace=where,
    )
    wait_phase(cluster, "server", where, "Running")
    port = cluster.forward_service(where, "server", 8080)

    def answer() -> bytes:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answered:
                body: bytes = answered.read()
                return body
        except OSError:
            return b""

    assert wait(answer, 20, "the relay does not lead to the pod") == b"from inside"


def test_the_audit_log_names_who_did_what(cluster: Cluster, where: str) -> None:
    cluster.kubectl("create", "configmap", "audited", "-n", where)

    def events() -> list[tuple[str, str, str]]:
        found = audit_events_in(cluster.audit_log, where)
        return [(event["user"]["username"], event["verb"], event["objectRef"]["resource"]) for event in found]

    cluster.wait(lambda: ("kubernetes-admin", "create", "configmaps") in events(), 10, events)
