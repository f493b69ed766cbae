"""The image that all others are built on.

The Dockerfiles name an official Python image. Where a registry can be reached, that image is pulled and used. Where none can, a tree of
the same Debian release with its own Python stands in for it, made by debootstrap from Debian's packages: good for building and trying the
images on this machine, not for publishing them, since its Python is another patch release.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.cluster.commands import run
from tools.cluster.docker.engine import Engine
from tools.cluster.environments import REPOSITORY
from tools.cluster.errors import ClusterError, CommandFailed
from tools.cluster.progress import Progress

STAND_IN = "bramble.local/base"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
PULL_SECONDS = 600.0


def official() -> str:
    """The base that the Dockerfiles name, such as `python:3.11.14-slim-bookworm`."""
    text = (REPOSITORY / "images" / "operator" / "Dockerfile").read_text()
    found = re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    if found is None:
        raise ClusterError("images/operator/Dockerfile names no base: it needs a line `ARG BASE=…`")
    return found.group(1)


def base(engine: Engine, progress: Progress) -> str:
    """The reference to build on: the official one, pulled, or the stand-in."""
    wanted = official()
    if _has(engine, wanted):
        return wanted
    try:
        engine.run("pull", wanted, timeout=PULL_SECONDS)
    except (CommandFailed, subprocess.TimeoutExpired):
        release = wanted.rsplit("-", 1)[-1]
        return _stand_in(engine, release, progress)
    return wanted


def _has(engine: Engine, reference: str) -> bool:
    return bool(engine.run("images", "--quiet", reference))


def _stand_in(engine: Engine, release: str, progress: Progress) -> str:
    reference = f"{STAND_IN}:{release}"
    if _has(engine, reference):
        return reference
    progress(f"no registry answers: making a base of Debian {release} with debootstrap (about half a minute)")
    with tempfile.TemporaryDirectory(prefix="bramble-base-") as folder:
        tree = Path(folder) / "tree"
        run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", release, tree)
        (tree / "usr/bin/python").symlink_to("python3")
        for name in (CERTIFICATES, Path("etc/resolv.conf")):  # of this machine: builds reach package registries as it does
            if (Path("/") / name).is_file():
                shutil.copyfile(Path("/") / name, tree / name)
        archive = Path(folder) / "base.tar"
        run("tar", "--create", "--file", archive, "--directory", tree, ".")
        engine.run("import", "--change", f"ENV PIP_CERT=/{CERTIFICATES}", str(archive), reference)
    return reference
