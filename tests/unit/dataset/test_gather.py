"""What is known of a Dataset while the store does not answer."""

from __future__ import annotations

from bramble.errors import StoreUnavailable
from bramble.kinds.dataset.controller import CONTROLLER
from bramble.kinds.dataset.plan import plan
from bramble.kinds.dataset.render import inputs_of
from bramble.kube.resources import Key
from tests.unit.dataset.observed import NOW, SPEC, observed, says
from tests.unit.jobs.reading import BrokenStore, gathered


async def test_a_store_that_falls_silent_after_it_was_tried_is_told() -> None:
    status = {"attempt": 1, "inputs": inputs_of(observed().dataset.spec)}
    dataset = {"kind": "Dataset", "metadata": {"name": "tape", "namespace": "ads"}, "spec": SPEC, "status": status}
    told = plan(await gathered(CONTROLLER, Key("Dataset", "ads", "tape"), [dataset], BrokenStore(StoreUnavailable("no answer"))), NOW)
    assert says(told) == ("False", "StoreUnavailable")
    assert told.wake_at is not None
