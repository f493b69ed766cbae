"""Nodes with real containers: the images as they are built, limits that have effect, and nothing left behind."""

import json
from collections.abc import Iterator

import pytest

from tests.e2e.pods import container, http_server, namespace, pod, run, service, wait_phase
from tests.e2e.traces import Traces
from tools.cluster import Cluster, Shape

pytestmark = [pytest.mark.images, pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def real() -> Iterator[Cluster]:
    with Cluster.up(Shape.of(gpus=0, boards=1, runtime="containerd"), image_names=("operator", "edge"), progress=print) as started:
        yield started


@pytest.fixture
def place(real: Cluster) -> Iterator[str]:
    with namespace(real) as name:
        yield name


def test_a_pod_runs_its_image_as_its_user(real: Cluster, place: str) -> None:
    code = "import json, os, sys, yaml; print(json.dumps([os.getuid(), sys.prefix, os.path.exists('/root/.ssh'), yaml.__file__]))"
    user, prefix, home, module = json.loads(run(real, place, code))
    assert user == 65532
    assert prefix == "/opt/bramble/environment"
    assert not home
    assert module.startswith("/opt/bramble/environment/")


def test_a_container_beyond_its_memory_limit_is_killed_and_said_to_be(real: Cluster, place: str) -> None:
    greedy = container(real, "held = bytearray(400 << 20); print(len(held))", resources={"limits": {"memory": "100Mi"}})
    real.apply(pod("greedy", greedy), namespace=place)
    ended = wait_phase(real, "greedy", place, "Failed", "Succeeded")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["reason"] == "OOMKilled", ended


def test_a_service_answers_between_pods_of_one_node_and_of_two(real: Cluster, place: str) -> None:
    real.apply(
        pod("web", container(real, http_server("hello")), labels={"app": "web"}, nodeSelector={"kubernetes.io/hostname": "control"}),
        service("web", {"app": "web"}, 8080),
        namespace=place,
    )
    wait_phase(real, "web", place, "Running")
    ask = "import urllib.request as u; print(u.urlopen('http://web:8080', timeout=20).read().decode())"
    retry = f"import time\nfor _ in range(50):\n    try:\n        {ask}; break\n    except OSError: time.sleep(0.2)\n"
    for node in ("control", "board-1"):
        assert run(real, place, retry, node=node).strip() == "hello", node


def test_exec_reaches_a_container(real: Cluster, place: str) -> None:
    real.apply(pod("idle", container(real, "import time; time.sleep(300)")), namespace=place)
    wait_phase(real, "idle", place, "Running")
    assert real.kubectl("exec", "idle", "--namespace", place, "--", "id", "-u").strip() == "65532"


def test_a_node_that_loses_its_power_comes_back_with_its_disk(real: Cluster, place: str) -> None:
    disk = real.nodes["board-1"].host_path("/var/lib/bramble")
    (disk / "kept").write_text("kept")
    real.nodes["board-1"].kill()
    real.nodes["board-1"].wait_not_ready()
    real.nodes["board-1"].boot()
    real.nodes["board-1"].wait_ready()
    assert run(real, place, "print('back')", node="board-1").strip() == "back"
    assert (disk / "kept").read_text() == "kept"


def test_nothing_is_left_on_the_host() -> None:
    before = Traces.take()
    with (
        Cluster.up(Shape.of(gpus=0, boards=0, runtime="containerd"), image_names=("operator", "edge"), progress=print) as started,
        namespace(started) as where,
    ):
        run(started, where, "print('ran')")
    assert before.differences(Traces.take()) == {}
