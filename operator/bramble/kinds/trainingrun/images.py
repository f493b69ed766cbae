"""Which image trains."""

from __future__ import annotations

from bramble.kinds.trainingrun.observed import Observed


def train_image(seen: Observed) -> str:
    """The user's own image, or the one with the built-in trainers."""
    container = seen.spec.trainer.container
    return container.image if container is not None else seen.settings.images_train
