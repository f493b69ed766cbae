"""Which samples calibrate a quantised graph."""

from __future__ import annotations

from bramble_workloads.convert.calibration import choose_samples
from bramble_workloads.evaluate.samples import of_split, read_manifest, read_samples
from tests.unit.workloads.datasets import dataset


def test_calibration_takes_classes_in_turn_and_does_not_depend_on_order() -> None:
    digest, blobs = dataset(400)
    train = of_split(read_samples(blobs.__getitem__, read_manifest(blobs.__getitem__, digest)), "train")
    chosen = choose_samples(train, 25)
    assert choose_samples(reversed(train), 25) == chosen
    assert [sample.annotation.stratum for sample in chosen[:10]] == list("0123456789")
    assert len({sample.id for sample in chosen}) == 25
    assert {sample.id for sample in choose_samples(train, 10_000)} == {sample.id for sample in train}
