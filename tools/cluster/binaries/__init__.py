"""The programs that a local cluster runs: found, downloaded or built, and cached.

In this order, for each program:

1. one of the pinned minor version from KUBEBUILDER_ASSETS or PATH;
2. the cache, `${XDG_CACHE_HOME:-~/.cache}/bramble/bin/<name>-<version>-<key>/`;
3. the official release, where its host answers at once, checked against the published SHA-256;
4. built from Go modules: every component of Kubernetes, etcd, CoreDNS and Helm as one multi-call binary (`nodebox/`), our
   container runtime `cri` (`nodebox/cri/`), which no release has, and the object store versitygw.

Versions are those of `nodebox/go.mod`; versitygw, a module of its own, is pinned here. A part of the cache is named by what it was
made of (sources, versions, flags, the Go release), so it is complete or absent, and never stale.

    python -m tools.cluster.binaries                    make all of them ready, with progress
    python -m tools.cluster.binaries --path kubectl     where one of them is
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from tools.cluster.binaries import go_build, installed, releases
from tools.cluster.progress import Progress, silent

NODEBOX = Path(__file__).parents[1] / "nodebox"
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
APPLETS = (*KUBERNETES, "coredns", "etcd", "helm")
"""What the multi-call binary can be called as."""
NAMES = (*APPLETS, "cri", "versitygw")
VERSITYGW = "v1.8.0"
MINIO = "v0.0.0-20260212201848-7aac2a2c5b7c"
"""The last commit of its archived repository: the second store that `make compat` tries."""
KEEP_UNUSED = 14 * 24 * 3600
"""Seconds for which a part of the cache that no checkout asks for any more is kept."""


@dataclass(frozen=True)
class Binaries:
    """Where each program is."""

    paths: Mapping[str, Path]

    def path(self, name: str) -> Path:
        """A path that can be executed; one of NAMES. The file's own name is `name`, which the multi-call binary goes by."""
        return self.paths[name]


@dataclass(frozen=True)
class Part:
    """One folder of the cache, made by one build or download."""

    name: str
    version: str
    key: str
    programs: tuple[str, ...]

    def folder(self, cache: Path) -> Path:
        return cache / f"{self.name}-{self.version}-{self.key}"

    def paths(self, cache: Path) -> dict[str, Path]:
        return {program: self.folder(cache) / program for program in self.programs}


def ensure(progress: Progress = silent) -> Binaries:
    """Every program of NAMES, made ready where it is not; a call of `progress` is one line for a person.

    Safe to call from several processes at once: one makes a part, the others wait for it.
    Raises MissingRequirement where something is needed to build with, BuildFailed where that went wrong.
    """
    versions = pinned()
    found = installed.find({name: versions[name] for name in (*APPLETS, "versitygw")})
    cache = cache_folder()
    toolchain = go_build.Toolchain.find(NODEBOX)
    runtime = [file for folder in ("cri", "shim", "internal") for file in _go_files(NODEBOX / folder)]
    parts = [_part_of_sources("cri", versions["kubelet"], runtime, ("cri", "cri-shim"), toolchain)]
    if "versitygw" not in found:
        parts.append(Part("versitygw", VERSITYGW, _key([VERSITYGW, toolchain.identity]), ("versitygw",)))
    if set(APPLETS) - set(found):
        nodebox = _part_of_sources("nodebox", versions["kubelet"], _go_files(NODEBOX, recursive=False), APPLETS, toolchain)
        release = Part("release", versions["kubelet"], _key(f"{name} {versions[name]}" for name in APPLETS), APPLETS)
        parts.append(release if release.folder(cache).is_dir() and not nodebox.folder(cache).is_dir() else nodebox)
        if not parts[-1].folder(cache).is_dir() and _download(release, versions, cache, progress):
            parts[-1] = release
    paths: dict[str, Path] = {}
    for part in parts:
        _make(part, toolchain, cache, progress)
        paths |= part.paths(cache)
    return Binaries(paths | found)


def ensure_minio(progress: Progress = silent) -> Path:
    """MinIO's server, built where the cache has none. Raises as `ensure` does."""
    toolchain = go_build.Toolchain.find(NODEBOX)
    part = Part("minio", MINIO, _key([MINIO, toolchain.identity]), ("minio",))
    _make(part, toolchain, cache_folder(), progress)
    return part.paths(cache_folder())["minio"]


def pinned() -> dict[str, str]:
    """The version of each program with its leading v, from go.mod's requirements."""
    required = dict(re.findall(r"^\s*([\w./-]+) (v[\w.+-]+)$", (NODEBOX / "go.mod").read_text(), re.MULTILINE))
    modules = {"coredns": "github.com/coredns/coredns", "etcd": "go.etcd.io/etcd/server/v3", "helm": "helm.sh/helm/v4"}
    versions = {name: required[module] for name, module in modules.items()}
    versions |= dict.fromkeys(KUBERNETES, required["k8s.io/kubernetes"])
    return versions | {"versitygw": VERSITYGW}


def cache_folder() -> Path:
    """The folder of all parts, of all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bramble" / "bin"


def _part_of_sources(name: str, version: str, sources: Iterable[Path], programs: tuple[str, ...], toolchain: go_build.Toolchain) -> Part:
    files = sorted([*sources, NODEBOX / "go.mod", NODEBOX / "go.sum"])
    contents = [f"{file.relative_to(NODEBOX)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return Part(name, version, _key([*contents, *_linker_flags(pinned()), toolchain.identity]), programs)


def _go_files(folder: Path, *, recursive: bool = True) -> Iterator[Path]:
    files = folder.rglob("*.go") if recursive else folder.glob("*.go")
    return (file for file in files if not file.name.endswith("_test.go"))


def _key(ingredients: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(ingredients).encode()).hexdigest()[:16]


def _linker_flags(versions: Mapping[str, str]) -> tuple[str, ...]:
    """What the projects' own release scripts stamp into their binaries: the versions that the API server and kubelets report."""
    kubernetes = versions["kubelet"]
    major, minor = kubernetes.removeprefix("v").split(".")[:2]
    stamps = {
        **{
            f"{package}.{variable}": value
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for variable, value in (("gitVersion", kubernetes), ("gitMajor", major), ("gitMinor", minor))
        },
        "helm.sh/helm/v4/internal/version.version": versions["helm"],
    }
    return tuple(f"-X {name}={value}" for name, value in stamps.items())


def _make(part: Part, toolchain: go_build.Toolchain, cache: Path, progress: Progress) -> None:
    folder = part.folder(cache)
    if not folder.is_dir():
        with _locked(cache, progress):
            if not folder.is_dir():
                with _draft(folder) as draft:
                    _build(part, toolchain, draft, progress)
                _forget_unused(cache)
    os.utime(folder)


def _build(part: Part, toolchain: go_build.Toolchain, folder: Path, progress: Progress) -> None:
    match part.name:
        case "versitygw":
            module = f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW}"
            toolchain.install(module, folder, (f"-X main.Version={VERSITYGW}",), go_build.VERSITYGW, progress)
        case "minio":
            toolchain.install(f"github.com/minio/minio@{MINIO}", folder, (), go_build.MINIO, progress)
        case "cri":
            toolchain.build("./cri", folder / "cri", (), go_build.CRI, progress)
            toolchain.build("./shim", folder / "cri-shim", (), go_build.SHIM, progress)  # found by cri beside itself
        case _:
            toolchain.build(".", folder / "nodebox", _linker_flags(pinned()), go_build.NODEBOX, progress)
            for applet in APPLETS:
                (folder / applet).symlink_to("nodebox")


def _download(part: Part, versions: Mapping[str, str], cache: Path, progress: Progress) -> bool:
    """Try the official releases; False where they cannot be had, which is no error: they can be built."""
    with _locked(cache, progress):
        folder = part.folder(cache)
        if folder.is_dir():
            return True
        try:
            with _draft(folder) as draft:
                releases.download(versions, draft, progress)
        except releases.ReleaseUnavailable as reason:
            progress(f"no official release to download ({reason}): building instead")
            return False
    return True


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A folder that becomes `folder` when the block ends well, and vanishes when it does not."""
    draft = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        yield draft
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft)
        raise


@contextmanager
def _locked(cache: Path, progress: Progress) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that makes the cluster's binaries")
            flock(lock, LOCK_EX)
        yield


def _forget_unused(cache: Path) -> None:
    """Remove parts that no checkout asked for lately, and drafts whose maker was killed. Called with the lock held."""
    oldest = time.time() - KEEP_UNUSED
    for folder in cache.iterdir():
        if folder.is_dir() and (folder.name.startswith(".making-") or folder.stat().st_mtime < oldest):
            shutil.rmtree(folder)
