"""The layers that all nodes with containerd share: the images, built and imported once into a containerd that then ends.

A node's containerd gets copies of the template's two databases and links to its layers and contents, which are never changed once they
are imported. Templates are kept in the user's cache, named by the images in them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.cluster.commands import UNSHARE, run, search_path
from tools.cluster.docker.build import NAMES, build
from tools.cluster.docker.engine import Engine, engine
from tools.cluster.environments import cache_folder, digest_of
from tools.cluster.errors import ClusterError
from tools.cluster.images import REGISTRY, TAG, Image
from tools.cluster.process import tail
from tools.cluster.progress import Progress
from tools.cluster.waiting import wait

SNAPSHOTTER = "overlayfs"
PAUSE = f"{REGISTRY}/pause:{TAG}"
CONTENT = "io.containerd.content.v1.content"
DATABASES = ("io.containerd.metadata.v1.bolt/meta.db", f"io.containerd.snapshotter.v1.{SNAPSHOTTER}/metadata.db")
LAYERS = f"io.containerd.snapshotter.v1.{SNAPSHOTTER}/snapshots"
START_SECONDS = 60.0
KEPT = 2
"""Templates that stay in the cache; one with all four images takes about 8 GB."""


@dataclass(frozen=True)
class Template:
    """A containerd root that holds the images."""

    root: Path

    @property
    def images(self) -> list[Image]:
        """The image table: no mounts, since containerd unpacks the images itself."""
        digests: dict[str, str] = json.loads((self.root / "digests.json").read_text())
        return [Image(reference, TAG, digest, (), {}, (), ()) for reference, digest in digests.items()]

    def copy_to(self, root: Path) -> None:
        """A root of its own for one node: real databases, links to the layers and contents."""
        for database in DATABASES:
            (root / database).parent.mkdir(parents=True)
            shutil.copyfile(self.root / database, root / database)
        (root / CONTENT).mkdir()
        (root / CONTENT / "blobs").symlink_to(self.root / CONTENT / "blobs")
        (root / LAYERS).mkdir()
        for layer in (self.root / LAYERS).iterdir():
            (root / LAYERS / layer.name).symlink_to(layer)


def _base() -> Path:
    return cache_folder() / "containerd"


def holding(images: list[Image]) -> Template:
    """The template that holds just these images. Raises ClusterError: there is none."""
    wanted = {image.pinned for image in images}
    for whole in _base().glob("*/digests.json"):
        found = Template(whole.parent)
        if {image.pinned for image in found.images} == wanted:
            return found
    raise ClusterError(f"containerd has not imported {', '.join(sorted(wanted))}: start the cluster anew")


def fill(names: tuple[str, ...] | None, progress: Progress) -> Template:
    """Build the images with Docker and import them, unless a template holds them already."""
    with engine(progress) as docker:
        built = build(docker, names or NAMES, progress)
        key = digest_of(*(image.identity.encode() for image in built))[:32]
        found = Template(_base() / key)
        if not (found.root / "digests.json").exists():
            _make_pause(docker, built[0].reference)
            references = [image.reference for image in built]
            with tempfile.TemporaryDirectory(prefix="bramble-images-", dir=cache_folder()) as folder:
                archive = Path(folder) / "images.tar"
                progress(f"exporting {', '.join(references)}")
                docker.run("save", "--output", str(archive), *references, PAUSE)
                _import(archive, found.root, references, progress)
    os.utime(found.root / "digests.json")
    _prune(found)
    return found


def _make_pause(docker: Engine, on: str) -> None:
    """The container that holds a pod's namespaces: it only sleeps, on layers that are there anyway."""
    with tempfile.TemporaryDirectory(prefix="bramble-pause-") as folder:
        (Path(folder) / "Dockerfile").write_text(f'FROM {on}\nUSER 65534:65534\nENTRYPOINT ["sleep", "infinity"]\n')
        docker.run("build", "--network", "none", "--tag", PAUSE, folder)


def _import(archive: Path, root: Path, references: list[str], progress: Progress) -> None:
    """Import the archive into a new root; the file `digests.json` comes last and says that it is whole."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with _containerd(root) as ctr:
        progress("importing the images into containerd")
        ctr("images", "import", "--snapshotter", SNAPSHOTTER, str(archive))
        digests = {}
        for line in ctr("images", "list").splitlines()[1:]:
            reference, _, digest = line.split()[:3]
            name = reference.removesuffix(f":{TAG}")
            if reference in references:
                digests[name] = digest
                ctr("images", "tag", reference, f"{name}@{digest}")
    missing = {reference.removesuffix(f":{TAG}") for reference in references} - digests.keys()
    if missing:
        raise ClusterError(f"containerd did not import {', '.join(sorted(missing))} from {archive}")
    (root / "digests.json").write_text(json.dumps(digests))


@contextmanager
def _containerd(root: Path) -> Iterator[partial[str]]:
    """A containerd on this root, in namespaces of its own; yields `ctr` for it."""
    with tempfile.TemporaryDirectory(prefix="bramble-containerd-") as name:
        folder = Path(name)
        socket, log = folder / "containerd.sock", folder / "log"
        (folder / "config.toml").write_text(
            f'version = 2\nroot = "{root}"\nstate = "{folder / "state"}"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{socket}"\n'
        )
        with log.open("w") as output:
            process = subprocess.Popen(
                [*UNSHARE, "containerd", "--config", str(folder / "config.toml")],
                stdout=output,
                stderr=output,
                env={**os.environ, "PATH": search_path()},
                start_new_session=True,
            )
        try:
            wait(lambda: socket.is_socket() or process.poll() is not None, START_SECONDS, lambda: tail(log))
            if process.poll() is not None:
                raise ClusterError(f"containerd ended with {process.returncode}:\n{tail(log)}")
            yield partial(_ctr, str(socket))
        finally:
            process.kill()
            process.wait()


def _ctr(socket: str, *arguments: str) -> str:
    return run("ctr", "--address", socket, "--namespace", "k8s.io", *arguments)


def _prune(keep: Template) -> None:
    """Remove templates beyond the newest. One that a running cluster uses is among them: each start touches its template."""
    found = sorted((each for each in _base().iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime, reverse=True)
    for folder in found[KEPT:]:
        if folder != keep.root:
            shutil.rmtree(folder, ignore_errors=True)
