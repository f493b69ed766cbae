"""The image table: which reference stands for which environment, code and settings.

There is no registry and nothing is pulled: a container of the local cluster sees the host's /usr, an environment and a copy of the
code, all read-only. The digest of an image is that of its lock, its code, its interpreter and its settings, so that `image@sha256:…` in a
pod means one content here as it does anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from bramble.contracts.pod import TELEMETRY_OFF
from tools.cluster import environments
from tools.cluster.environments import REPOSITORY, CodePart, digest_of, interpreter_prefix
from tools.cluster.progress import Progress
from tools.cluster.state import State

REGISTRY = "bramble.local"
TAG = "dev"
ENVIRONMENT = "/opt/bramble/environment"
CODE = "/opt/bramble/code"
USER = 65532
"""The user of distroless images, and of ours."""
NOMINAL_BYTES = 64 << 20
"""What the node reports as an image's size; nothing is copied, so there is no true figure."""

MAX_EARLIER = 100
"""Lines kept in a table that grows: a shared cluster gets four more whenever the code changes."""

OPERATOR = REPOSITORY / "operator" / "bramble"
OPERATOR_CODE = (CodePart(OPERATOR, "bramble"),)
WORKLOADS_CODE = (
    CodePart(OPERATOR / "__init__.py", "bramble/__init__.py"),
    CodePart(OPERATOR / "contracts", "bramble/contracts"),
    CodePart(OPERATOR / "objectstore", "bramble/objectstore"),
    CodePart(REPOSITORY / "workloads" / "bramble_workloads", "bramble_workloads"),
)
"""Of the operator's package, workloads may import the contracts and the S3 client; their images hold nothing else of it."""


@dataclass(frozen=True)
class ImageSource:
    """What an image is made of: a lock file's name in images/locks, code, and its settings. images/<name>/Dockerfile says the same."""

    name: str
    lock: str
    code: tuple[CodePart, ...]
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ("python3",)


SOURCES = (
    ImageSource("operator", "operator", OPERATOR_CODE, entrypoint=("python", "-m", "bramble"), command=()),
    ImageSource("train", "train", WORKLOADS_CODE, entrypoint=("python", "-m", "bramble_workloads"), command=()),
    ImageSource("convert", "convert", WORKLOADS_CODE, entrypoint=("python", "-m", "bramble_workloads"), command=()),
    ImageSource("edge", "edge", WORKLOADS_CODE, entrypoint=("python", "-m", "bramble_workloads"), command=()),
)
"""The project's images: `operator` is the gateway's too."""


@dataclass(frozen=True)
class Image:
    """One line of the table."""

    reference: str
    tag: str
    digest: str
    mounts: tuple[tuple[str, str], ...]
    environment: dict[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last part of the reference."""
        return self.reference.rsplit("/", 1)[-1]

    @property
    def pinned(self) -> str:
        """reference@sha256:…, as pods should name it."""
        return f"{self.reference}@{self.digest}"

    def as_json(self) -> dict[str, Any]:
        """As the CRI server reads it."""
        return {
            "reference": self.reference,
            "tag": self.tag,
            "digest": self.digest,
            "mounts": [{"source": source, "target": target} for source, target in self.mounts],
            "env": self.environment,
            "user": USER,
            "workdir": "/",
            "entrypoint": list(self.entrypoint),
            "cmd": list(self.command),
            "bytes": NOMINAL_BYTES,
        }


def read_lock(name: str) -> str:
    return (REPOSITORY / "images" / "locks" / f"{name}.txt").read_text()


def build(source: ImageSource, progress: Progress, *, reference: str | None = None, tag: str = TAG) -> Image:
    """Make an image's folders if they are not there, and its line of the table."""
    lock = read_lock(source.lock)
    environment = environments.environment(lock, source.name, progress)
    mounts = [(str(environment / "venv"), ENVIRONMENT)]
    contents = environments.read_code(source.code)
    if contents:
        mounts.append((str(environments.code(contents)), CODE))
    prefix = interpreter_prefix()
    if not prefix.is_relative_to("/usr"):  # containers have the host's /usr anyway
        mounts.append((str(prefix), str(prefix)))
    variables = {
        "PATH": f"{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": CODE,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **TELEMETRY_OFF,
        "LANG": "C.UTF-8",
        **source.environment,
    }
    settings = json.dumps([variables, source.entrypoint, source.command, USER], sort_keys=True)
    digest = digest_of(environments.environment_digest(lock).encode(), environments.code_digest(contents).encode(), settings.encode())
    return Image(
        reference or f"{REGISTRY}/{source.name}", tag, f"sha256:{digest}", tuple(mounts), variables, source.entrypoint, source.command
    )


def build_all(progress: Progress, names: tuple[str, ...] | None = None) -> list[Image]:
    """The project's images, all or some of them."""
    return [build(source, progress) for source in SOURCES if names is None or source.name in names]


def write_table(state: State, images: Iterable[Image]) -> None:
    """Replace the table; the CRI servers read it again when it changes."""
    state.write_json(state.images, {"images": [image.as_json() for image in images]})


def read_table(state: State) -> list[Image]:
    """The table of a cluster, newest first where a reference stands in it more than once."""
    return [
        Image(
            line["reference"],
            line["tag"],
            line["digest"],
            tuple((mount["source"], mount["target"]) for mount in line["mounts"]),
            line["env"],
            tuple(line["entrypoint"]),
            tuple(line["cmd"]),
        )
        for line in json.loads(state.images.read_text())["images"]
    ]


def add_to_table(state: State, *added: Image) -> None:
    """Put images in front of the table. Earlier ones of the same reference keep their digest, under which running pods know them, and
    lose their tag, as in a registry."""
    pinned = {image.pinned for image in added}
    references = {image.reference for image in added}
    earlier = [
        replace(image, tag=f"was-{image.digest.removeprefix('sha256:')[:12]}") if image.reference in references else image
        for image in read_table(state)
        if image.pinned not in pinned
    ]
    write_table(state, [*added, *earlier[:MAX_EARLIER]])
