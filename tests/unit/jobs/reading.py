"""What a kind's `gather` reads of a cluster written down, with the engine's own cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bramble.engine.device_reports import DeviceReports
from bramble.engine.elapsed import Elapsed
from bramble.engine.faults import Faults
from bramble.engine.object_events import ObjectEvents
from bramble.engine.pass_reader import PassReader
from bramble.kinds.blockers import Blocker
from bramble.kinds.controller import Controller
from bramble.kube.resources import Key, Resource
from tests.unit.engine.fake_api import FakeApi
from tests.unit.engine.replica import SETTINGS, FakeStore, Replica, Time


class BrokenStore(FakeStore):
    """Answers when it is tried, and then every read fails so."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def fetch(self, namespace: str, key: str, most: int) -> bytes | None:  # noqa: ARG002 - the arguments are the protocol's
        raise self.error


class BlockedStore(FakeStore):
    """Cannot be used. `asked`: the namespaces whose store was tried."""

    def __init__(self, blocker: Blocker) -> None:
        super().__init__()
        self.blocker, self.asked = blocker, list[str]()

    async def problem(self, namespace: str) -> Blocker | None:
        self.asked.append(namespace)
        return self.blocker


async def gathered(
    controller: Controller[Any],
    key: Key,
    objects: Iterable[dict[str, Any]],
    documents: FakeStore | None = None,
    *,
    also: tuple[Resource, ...] = (),
    passes: int = 1,
) -> Any:
    """What a pass over the object of this key would plan by, the last of so many, 10 s apart.

    `also`: further kinds of objects that the cache has.
    """
    api, documents, time = FakeApi(), documents or FakeStore(), Time()
    for each in objects:
        api.put(each)
    replica = Replica(api, documents, (controller,), Faults(), time, also=also)
    await replica.relist.compare()
    reports, events, elapsed = DeviceReports(time), ObjectEvents(api, time), Elapsed(time)
    found: Any = None
    for _ in range(passes):
        found = await controller.gather(key, PassReader(api, SETTINGS, replica.changes, documents, reports, events, elapsed))
        time.now += 10
    return found
