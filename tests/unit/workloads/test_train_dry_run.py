"""What is found before the ranks meet, although only the package at the end would fail by it."""

from __future__ import annotations

import pytest

from bramble.contracts.tasks.classification import ClassifierHyperparameters, ClassifierTrainer, Label
from bramble_workloads.errors import SpecError
from bramble_workloads.tasks.classification.objective import ClassificationObjective
from bramble_workloads.train.dry_run import require_fit


def test_class_names_that_no_package_can_hold_are_refused_before_training() -> None:
    trainer = ClassifierTrainer(task="image-classification", architecture="small-cnn", image_size=16, channels="L")
    classes = tuple(f"a-class-with-a-long-name-{number:05}" for number in range(2500))
    truths = [Label(label=classes[0])]
    objective = ClassificationObjective(trainer, ClassifierHyperparameters(), classes, truths)
    with pytest.raises(SpecError, match=r"package.json would have \d+ bytes of at most 65536: use fewer classes, or shorter names"):
        require_fit(objective.network(), objective, truths[0], 2)
