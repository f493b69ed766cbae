"""`make scale`: operator and gateway with a thousand devices (BOARDS=200 for fewer). Prints a table, and writes build/scale/report.json.

A local cluster gets the chart with two replicas of each, a bare Node for each device, and one pod with all devices
(`benchmarks.scale.simulator`). They call the gateway's Service as real ones do. A first version goes to all of them; a second one too, and
a replica of the gateway is killed meanwhile; all connections are cut at once; and a third version fails its guardrail. Exits 1 if a bound
is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.scale import report, setting
from benchmarks.scale.report import Row
from benchmarks.scale.setting import BOARD, ERRORS, MODEL, NAME, NAMESPACE
from benchmarks.scale.watching import Devices, Failed, Processes, Seen, followed, load, until
from bramble.kube.client import Client
from bramble.kube.config import load as load_config
from tools.cluster import Cluster, CodePart, ImageSource, Shape
from tools.cluster.environments import REPOSITORY
from tools.cluster.images import WORKLOADS_CODE
from tools.installation import EDGE_NAMESPACE, install
from tools.installation import NAMESPACE as SYSTEM

OUT = Path("build/scale")
DISK = "/var/lib/bramble"
"""The one folder of a node that pods may mount on the local cluster."""
FOLDER = f"{DISK}/scale"
STEADY_SECONDS = 40.0
BAKE = "15s"
CODE = (
    *WORKLOADS_CODE,
    *(
        CodePart(REPOSITORY / "benchmarks/scale" / name, f"benchmarks/scale/{name}")
        for name in ("__init__.py", "devices.py", "simulator.py")
    ),
)


def simulator(image: str, node: str) -> dict[str, Any]:
    """The pod with all devices."""
    security = {"runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {
        "name": "simulator",
        "image": image,
        "command": ["python", "-m", "benchmarks.scale.simulator", FOLDER],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "shared", "mountPath": FOLDER}],
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [{"name": "shared", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "simulator", "namespace": "scale-devices"}, "spec": spec}


class Run:
    """One run: what the stages share."""

    def __init__(self, cluster: Cluster, api: Client, boards: int) -> None:
        self.cluster, self.api, self.boards = cluster, api, boards
        self.seen, self.processes = Seen(), Processes(cluster)
        self.host = cluster.nodes["control"]
        self.folder = self.host.host_path(DISK) / "scale"
        self.devices = Devices(self.folder)
        self.rows: list[Row] = []

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"{time.strftime('%H:%M:%S')}  load {load():4.1f}  {text}", file=sys.stderr, flush=True)

    async def prepare(self) -> None:
        """Everything up to devices that are all online."""
        self.say(f"{self.boards} nodes")
        await asyncio.to_thread(setting.make_store, self.cluster)
        await setting.make_nodes(self.api, self.boards)
        await asyncio.to_thread(self.cluster.apply, setting.fleet())
        sets = await self._daemon_set()
        self.say("their agents' pods and tokens")
        tokens = await setting.make_agents(self.api, self.boards, sets["spec"]["template"])
        for number in ERRORS:
            await setting.make_version(self.api, number)
        await asyncio.to_thread(self._start_simulator, tokens)
        online = await until(lambda: self.devices.state().get("online") == self.boards, 300, self.devices.state)
        known = await until(lambda: self._online() == self.boards, 120, lambda: self.seen.fleet.get("status"))
        self.say(f"all devices report after {online:.0f} s, and {known:.0f} s later the Fleet says so")

    async def _daemon_set(self) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return self.cluster.list("daemonsets", EDGE_NAMESPACE)

        return (await asyncio.to_thread(self.cluster.wait, found, 60, "the Fleet has no DaemonSet"))[0]

    def _start_simulator(self, tokens: dict[str, str]) -> None:
        (self.folder / "tokens").mkdir(parents=True, exist_ok=True)
        for name, token in tokens.items():
            (self.folder / "tokens" / name).write_text(token)
        authority = self.cluster.list("configmaps", EDGE_NAMESPACE, selector="app.kubernetes.io/managed-by=bramble")[0]["data"]
        (self.folder / "ca.crt").write_text(next(iter(authority.values())))
        errors = {setting.digest_of_version(number): share for number, share in ERRORS.items()}
        url = f"https://bramble-gateway.{SYSTEM}.svc:8443"
        config = {
            "url": url,
            "fleet": NAME,
            "board": BOARD,
            "namespace": NAMESPACE,
            "model": MODEL,
            "errors": errors,
            "nodes": sorted(tokens),
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        for path in (self.folder, self.folder / "tokens"):
            path.chmod(0o777)
        image = self.cluster.add_image(ImageSource("simulator", "edge", CODE))
        labels = {"pod-security.kubernetes.io/enforce": "privileged"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "scale-devices", "labels": labels}}
        self.cluster.apply(namespace, simulator(image, self.host.name))

    def _online(self) -> int:
        return int((self.seen.fleet.get("status") or {}).get("online", 0))

    def _promoted(self, number: str) -> bool:
        status = self.seen.rollout.get("status") or {}
        ready = self.seen.condition(self.seen.rollout)
        return ready.startswith("True") and (status.get("stable") or {}).get("ref") == setting.version_name(number)

    def _serving(self, number: str) -> int:
        """How many devices serve this version."""
        digest = setting.digest_of_version(number)
        return sum(count for what, count in self.devices.state()["serving"].items() if what.startswith(digest))

    async def roll_out(self, number: str) -> None:
        """Name another version in the Rollout."""
        await asyncio.to_thread(self.cluster.apply, setting.rollout(number, BAKE))

    async def promote(self, number: str, seconds: float) -> None:
        """Wait until all devices serve this version as their stable one."""
        took = await until(
            lambda: self._promoted(number) and self._serving(number) == self.boards, seconds, lambda: self.seen.rollout.get("status")
        )
        self.say(f"{number} is promoted after {took:.0f} s")

    async def stay(self) -> None:
        """A fleet that only reports. Before that, every device has reported again that it serves the version."""
        await self.devices.order("mark")
        await until(lambda: self.devices.state()["allAgain"] is not None, 60, self.devices.state)
        await self.devices.order("mark")
        await asyncio.sleep(STEADY_SECONDS)  # what is measured is this time
        self.rows += report.steady_rows(self.devices.state(), load())

    async def lose_a_gateway(self) -> None:
        """Kill a replica of the gateway while the second version is at its canaries."""
        await self.roll_out("2.0.0")
        await until(lambda: self._serving("2.0.0") >= self.boards // 10, 120, lambda: self.seen.rollout.get("status"))
        await self.devices.order("mark")
        pod, pid = next((pod, pid) for pod, pid in self.processes.pids.items() if "gateway" in pod)
        os.kill(pid, signal.SIGKILL)
        self.say(f"killed {pod}")
        await self.promote("2.0.0", 300)
        await asyncio.to_thread(self.processes.find)
        self.rows += report.kill_rows(self.devices.state(), len(self.seen.undone), load())

    async def reconnect(self) -> None:
        """Cut all connections at once."""
        began = self.processes.processor_seconds("gateway")
        await self.devices.order("reconnect")
        await until(lambda: self.devices.state()["allAgain"] is not None, 120, self.devices.state)
        took = self.processes.processor_seconds("gateway") - began
        self.rows += report.reconnect_rows(self.devices.state(), took, load())

    async def undo(self) -> None:
        """A version that fails its guardrail."""
        await self.devices.order("mark")
        await self.roll_out("3.0.0")
        name = setting.version_name("3.0.0")
        await until(lambda: name in self.seen.undone, 300, lambda: self.seen.rollout.get("status"))
        busy = load()
        await until(lambda: self._serving("3.0.0") == 0, 60, self.devices.state)
        await asyncio.sleep(2 * STATE_SECONDS)
        state = self.devices.state()
        self.say(f"undone: {(self.seen.rollout['status'].get('undone') or {}).get('message')}")
        self.rows.append(report.undo_row(self.seen.undone[name], self.seen.assigned, state["heard"], self.boards, busy))


STATE_SECONDS = 0.5
"""How often the simulator writes its state."""


async def measure(cluster: Cluster, boards: int) -> Run:
    """All stages."""
    os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    async with Client(load_config()) as api:
        run = Run(cluster, api, boards)
        await asyncio.to_thread(install, cluster)
        await asyncio.to_thread(run.processes.find)
        tasks = [*followed(api, run.seen), asyncio.create_task(run.processes.sample(run.seen))]
        try:
            await run.prepare()
            await run.roll_out("1.0.0")
            await run.promote("1.0.0", 300)
            began = len(run.seen.samples)
            await run.stay()
            await run.lose_a_gateway()
            await run.reconnect()
            await run.undo()
            run.rows += report.memory_rows(run.seen.samples[began:], load())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=1000)
    boards = parser.parse_args().boards
    with Cluster.up(Shape.of(gpus=0, boards=0), progress=lambda line: print(line, file=sys.stderr)) as cluster:
        try:
            run = asyncio.run(measure(cluster, boards))
        except Failed as error:
            print(f"scale: {error}", file=sys.stderr)
            return 1
    OUT.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    document = {"boards": boards, "machine": machine, "rows": [{**row._asdict(), "met": row.met} for row in run.rows]}
    (OUT / "report.json").write_text(json.dumps(document, indent=2))
    print(report.table(run.rows))
    return int(not all(row.met for row in run.rows))


if __name__ == "__main__":
    sys.exit(main())
