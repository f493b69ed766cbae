"""Where the cluster's programs come from: this machine, the cache, a release, a build."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools.cluster import binaries
from tools.cluster.binaries import go_build, installed, releases
from tools.cluster.binaries.go_build import Measured, Toolchain
from tools.cluster.binaries.releases import Asset, ReleaseUnavailable
from tools.cluster.errors import BuildFailed, MissingRequirement
from tools.cluster.progress import Progress, live_line, silent, span


def test_versions_are_those_of_the_module() -> None:
    versions = binaries.pinned()
    assert set(versions) == {*binaries.APPLETS, "versitygw"}
    assert versions["kubelet"] == versions["kubectl"]
    assert all(version.startswith("v") for version in versions.values())


class FakeToolchain(Toolchain):
    """Writes a line where Go would compile for minutes, and notes what it was asked for."""

    built: list[str]

    def build(self, package: str, output: Path, linker_flags: Sequence[str], measured: Measured, progress: Progress) -> None:
        progress(f"{measured.program}: {package} {linker_flags}")
        self.built.append(output.name)
        output.write_text(package)

    def install(self, package: str, folder: Path, linker_flags: Sequence[str], measured: Measured, progress: Progress) -> None:
        progress(f"{measured.program}: {package} {linker_flags}")
        self.built.append(package)
        (folder / "versitygw").write_text(package)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Nothing installed, nothing cached, no network; the list is what was built."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(installed.ASSETS, raising=False)
    built: list[str] = []

    def find(module: Path) -> Toolchain:
        toolchain = FakeToolchain("go", module, "go1.26 linux/test")
        object.__setattr__(toolchain, "built", built)
        return toolchain

    def unreachable(url: str) -> None:
        raise ReleaseUnavailable(f"{url} is not there")

    monkeypatch.setattr(go_build.Toolchain, "find", find)
    monkeypatch.setattr(releases, "probe", unreachable)
    return built


def test_what_is_nowhere_is_built_once(built: list[str]) -> None:
    first = binaries.ensure()
    assert sorted(built) == ["cri", "cri-shim", f"github.com/versity/versitygw/cmd/versitygw@{binaries.VERSITYGW}", "nodebox"]
    assert {first.path(name).name for name in binaries.NAMES} == set(binaries.NAMES)
    assert first.path("kubelet").resolve() == first.path("etcd").resolve()
    assert (first.path("cri").parent / "cri-shim").exists()
    built.clear()
    assert binaries.ensure() == first
    assert built == []


def test_a_changed_source_is_another_part(built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = binaries.ensure()
    copy = tmp_path / "nodebox"
    for source in binaries.NODEBOX.rglob("*"):
        if source.is_file():
            target = copy / source.relative_to(binaries.NODEBOX)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    (copy / "internal" / "spec" / "new.go").write_text("package spec\n")
    (copy / "internal" / "spec" / "new_test.go").write_text("package spec\n")
    monkeypatch.setattr(binaries, "NODEBOX", copy)
    built.clear()
    after = binaries.ensure()
    assert sorted(built) == ["cri", "cri-shim"]
    assert after.path("cri") != before.path("cri")
    assert after.path("kubelet") == before.path("kubelet")
    (copy / "internal" / "spec" / "new_test.go").write_text("package spec // changed\n")
    assert binaries.ensure() == after


def test_a_failed_build_leaves_nothing(built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BuildFailed("no")

    with monkeypatch.context() as broken:
        broken.setattr(FakeToolchain, "build", fail)
        with pytest.raises(BuildFailed):
            binaries.ensure()
        assert [path.name for path in binaries.cache_folder().iterdir()] == [".lock"]
    binaries.ensure()
    assert "nodebox" in built


def test_of_two_callers_one_builds(built: list[str]) -> None:
    results: list[binaries.Binaries] = []
    callers = [threading.Thread(target=lambda: results.append(binaries.ensure())) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results[0] == results[1]
    assert sorted(built) == sorted(set(built))


@pytest.mark.usefixtures("built")
def test_parts_that_nobody_asks_for_go_after_a_while() -> None:
    cache = binaries.cache_folder()
    for name, age in {"nodebox-old": binaries.KEEP_UNUSED + 60, "nodebox-recent": 60, ".making-killed": 0}.items():
        (cache / name).mkdir(parents=True)
        at = (cache / name).stat().st_mtime - age
        os.utime(cache / name, (at, at))
    binaries.ensure()
    assert not (cache / "nodebox-old").exists()
    assert not (cache / ".making-killed").exists()
    assert (cache / "nodebox-recent").exists()


def program(folder: Path, name: str, says: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def test_a_program_is_taken_from_this_machine_only_in_its_minor_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assets, path = tmp_path / "assets", tmp_path / "path"
    program(assets, "kube-apiserver", "Kubernetes v1.36.4")
    program(assets, "etcd", "etcd Version: 3.6.1\nGit SHA: 1.2.3")
    program(path, "kube-apiserver", "Kubernetes v1.36.1")
    program(path, "kubectl", "Client Version: v1.35.9")
    program(path, "kubelet", "nothing that looks like a version")
    (path / "helm").write_text("not a program")
    (path / "helm").chmod(0o755)
    monkeypatch.setenv(installed.ASSETS, str(assets))
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    wanted = {"kube-apiserver": "v1.36.1", "etcd": "v3.6.8", "kubectl": "v1.36.1", "kubelet": "v1.36.1", "helm": "v4.2.4"}
    assert installed.find(wanted) == {"kube-apiserver": assets / "kube-apiserver", "etcd": assets / "etcd"}


def test_without_go_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(go_build, "SYSTEM_FOLDERS", ())
    with pytest.raises(MissingRequirement, match=r"Go 1\.26\.0 or newer .* apt-get install --yes golang-go"):
        Toolchain.find(binaries.NODEBOX)
    program(tmp_path, "go", "")
    (tmp_path / "go").write_text("#!/bin/sh\necho 'go.mod requires go >= 1.26.0' >&2\nexit 1\n")
    with pytest.raises(MissingRequirement, match=r"requires go >= 1\.26\.0"):
        Toolchain.find(binaries.NODEBOX)


def test_a_build_that_fails_shows_what_the_compiler_said(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.test/broken\n\ngo 1.26.0\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { absent() }\n")
    lines: list[str] = []
    toolchain = Toolchain.find(tmp_path)
    with pytest.raises(BuildFailed, match=r"undefined: absent"):
        toolchain.build(".", tmp_path / "out", (), Measured("a test", 1, 1, 1), lines.append)
    assert lines[0].startswith("fetching modules of a test: 0 s of about ")


FILES: dict[str, bytes] = {}


@pytest.fixture
def server() -> Iterator[str]:
    """A release host; its files are FILES by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = FILES.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Not on the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_address[1]}"
        finally:
            serving.shutdown()
            thread.join()
            FILES.clear()


def archive(member: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as packed:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        packed.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def test_releases_are_checked_and_unpacked(server: str, tmp_path: Path) -> None:
    packed = archive("etcd-v3/etcd", b"etcd")
    FILES.update(
        {
            "/kubelet": b"kubelet",
            "/kubelet.sha256": hashlib.sha256(b"kubelet").hexdigest().encode(),
            "/etcd.tar.gz": packed,
            "/SHA256SUMS": f"{'0' * 64}  other.tar.gz\n{hashlib.sha256(packed).hexdigest()}  etcd.tar.gz\n".encode(),
        }
    )
    wanted = [
        Asset("kubelet", f"{server}/kubelet", f"{server}/kubelet.sha256"),
        Asset("etcd", f"{server}/etcd.tar.gz", f"{server}/SHA256SUMS", "etcd-v3/etcd"),
    ]
    releases.fetch_all(wanted, tmp_path, silent)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"kubelet": b"kubelet", "etcd": b"etcd"}
    assert os.access(tmp_path / "etcd", os.X_OK)


@pytest.mark.parametrize(
    ("content", "sums", "reason"),
    [
        pytest.param(b"kubelet", "0" * 64, "published is 0000", id="another file than the published one"),
        pytest.param(None, "0" * 64, "404", id="no such file"),
        pytest.param(b"kubelet", "<html>welcome to the hotel</html>", "no checksum", id="a page instead of a checksum"),
    ],
)
def test_a_release_that_is_not_as_published_is_refused(server: str, tmp_path: Path, content: bytes | None, sums: str, reason: str) -> None:
    FILES["/kubelet.sha256"] = sums.encode()
    if content is not None:
        FILES["/kubelet"] = content
    with pytest.raises(ReleaseUnavailable, match=reason):
        releases.fetch_all([Asset("kubelet", f"{server}/kubelet", f"{server}/kubelet.sha256")], tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_does_not_answer_costs_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "ANSWER_WITHIN", 0.05)
    released, over = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        released.wait(10)
        over.set()
        raise OSError("given up")

    monkeypatch.setattr(releases, "_open", hang)
    with pytest.raises(ReleaseUnavailable, match="no answer"):
        releases.probe("https://release.test/file")
    released.set()
    assert over.wait(10)


def test_every_program_of_the_multi_call_binary_has_a_release() -> None:
    wanted = list(releases.assets(binaries.pinned(), "amd64"))
    assert {asset.program for asset in wanted} == set(binaries.APPLETS)


def test_lines_of_a_stage_are_shown_now_and_then() -> None:
    stream = io.StringIO()
    with live_line(stream) as progress:
        for line in ("compiling: 1", "compiling: 2", "linking", "linking"):
            progress(line)
    assert stream.getvalue() == "compiling: 1\nlinking\n"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (340, "5 min 40 s")])
def test_spans_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert span(seconds) == text
