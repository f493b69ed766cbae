"""The agent serves what the conversion made: the float32 variant as the stable version and the int8 variant as its candidate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bramble.contracts.canonical import document_digest
from bramble.contracts.jobs.convert import ConvertResult
from bramble.contracts.package import Package
from bramble_workloads.convert.step import main
from bramble_workloads.store import Store
from tests.unit.workloads.datasets import dataset
from tests.unit.workloads.edge.agent_process import Agent
from tests.unit.workloads.edge.fake_gateway import FakeGateway
from tests.unit.workloads.graphs import conv_graph, exported
from tests.unit.workloads.models import digits
from tests.unit.workloads.steps import StepPod, convert_job

PICTURES = 40


def test_both_variants_serve_and_agree(store: Store, store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_folder.is_dir()
    pod = StepPod(store, tmp_path, monkeypatch)
    package, blobs = exported(conv_graph())
    manifest, data = dataset(900)
    pod.put([*blobs.values(), *data.values()])
    variants = ({"name": "onnx-fp32"}, {"name": "onnx-int8", "precision": "int8"})
    job = convert_job(*variants, package=document_digest(package), manifest=manifest)
    assert pod.run(main, job) == 0
    result = pod.result(job)
    assert isinstance(result, ConvertResult)
    plain, small = (outcome.package for outcome in result.variants)
    assert plain is not None
    assert small is not None
    device = tmp_path / "device"
    device.mkdir()
    asyncio.run(served(store, plain, small, device))


async def served(store: Store, plain: str, small: str, folder: Path) -> None:
    """Both variants answer on an agent, one after the other, and their labels are nearly always equal."""
    gateway = FakeGateway()
    await gateway.start()
    for digest in (plain, small):
        package = Package.model_validate_json(store.get_blob(digest))
        gateway.blobs |= {each: store.get_blob(each) for each in (digest, *package.blobs())}
    agent = Agent(gateway, folder)
    try:
        gateway.assign(plain)
        await agent.start()
        await agent.serves(plain)
        before = await labels(agent)
        gateway.assign(plain, small)
        await agent.serves(small)
        after = await labels(agent)
    finally:
        await agent.kill()
        await gateway.stop()
    true = digits()[1][:PICTURES]
    assert sum(said == label for said, label in zip(before, true, strict=True)) >= PICTURES * 0.9
    assert sum(one == other for one, other in zip(before, after, strict=True)) >= PICTURES * 0.9


async def labels(agent: Agent) -> list[str]:
    """The labels that the model gives to the first digits."""
    found = []
    for picture in digits()[0][:PICTURES]:
        status, answer = await agent.infer(picture)
        assert status == 200, answer
        found.append(answer["outputs"][0]["data"][0])
    return found
