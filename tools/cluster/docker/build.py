"""Building the images from `images/<name>/Dockerfile`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tools.cluster.docker.base import base
from tools.cluster.docker.engine import Engine
from tools.cluster.environments import REPOSITORY
from tools.cluster.images import REGISTRY, SOURCES, TAG
from tools.cluster.progress import Progress

NAMES = tuple(source.name for source in SOURCES)
"""Every image of the project."""


@dataclass(frozen=True)
class Built:
    """An image that the engine has."""

    name: str
    reference: str
    """`bramble.local/edge:dev`."""
    identity: str
    """The digest of its configuration, as `docker images` shows it."""
    bytes: int
    seconds: float


def build(engine: Engine, names: tuple[str, ...], progress: Progress) -> list[Built]:
    """Build these images in their order. Raises CommandFailed with the last lines of a build that failed."""
    on = base(engine, progress)
    return [_build(engine, name, on, progress) for name in names]


def _build(engine: Engine, name: str, on: str, progress: Progress) -> Built:
    reference = f"{REGISTRY}/{name}:{TAG}"
    progress(f"building {reference} on {on}")
    started = time.monotonic()
    engine.run(
        *("build", "--network", "host", "--build-arg", f"BASE={on}"),
        *("--file", str(REPOSITORY / "images" / name / "Dockerfile"), "--tag", reference, str(REPOSITORY)),
    )
    seconds = time.monotonic() - started
    identity, size = engine.run("image", "inspect", "--format", "{{.Id}} {{.Size}}", reference).split()
    return Built(name, reference, identity, int(size), seconds)
