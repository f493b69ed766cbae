"""Go programs built with progress and an estimate.

Estimates are measured on two cores with nothing cached (Go 1.26, 3.2 GB of build cache afterwards) and scaled to this machine's
cores; what Go has cached already makes a build shorter than its estimate.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.cluster.errors import BuildFailed, MissingRequirement
from tools.cluster.progress import Progress, span

SYSTEM_FOLDERS = ("/usr/local/go/bin", "/usr/lib/go/bin")
MEASURED_ON_CORES = 2
TICK = 1.0
LAST_LINES = 30
ENVIRONMENT = {"CGO_ENABLED": "0", "GOGC": "off", "GOMEMLIMIT": "1GiB"}
"""Static binaries need no C compiler, and run in a namespace with whatever root. The compiler collects no garbage below 1 GiB."""
COMPILED = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
"""How every package is compiled. The compiler writes no debug information, nor does the linker, which makes a build about a seventh
shorter."""


@dataclass(frozen=True)
class Measured:
    """Seconds of each stage of a cold build, on MEASURED_ON_CORES cores."""

    program: str
    fetch: float
    compile: float
    link: float


NODEBOX = Measured("Kubernetes, etcd, CoreDNS and Helm", fetch=15, compile=315, link=25)
CRI = Measured("the container runtime", fetch=5, compile=25, link=3)
SHIM = Measured("the container shim", fetch=1, compile=3, link=1)
MINIO = Measured("MinIO", fetch=20, compile=210, link=15)
VERSITYGW = Measured("the object store", fetch=5, compile=75, link=5)


@dataclass(frozen=True)
class Toolchain:
    """The Go command as it builds the module in `module`."""

    command: str
    module: Path
    identity: str
    """Release and platform, `go1.26.8 linux/amd64`: a binary depends on both."""

    @classmethod
    def find(cls, module: Path) -> Toolchain:
        """Raises MissingRequirement where there is no Go, or one older than go.mod asks for that may not fetch a newer one."""
        needed = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
        release = needed[1] if needed else "1.26"
        mend = f"Go {release} or newer is needed to build the local cluster's programs: install it as on https://go.dev/doc/install"
        command = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS]))
        if command is None:
            raise MissingRequirement(f"{mend}, or, where your distribution has it: apt-get install --yes golang-go")
        asked = [command, "env", "GOVERSION", "GOOS", "GOARCH"]
        answer = subprocess.run(asked, cwd=module, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise MissingRequirement(f"{mend} ({answer.stderr.strip()})")
        version, system, architecture = answer.stdout.split()
        return cls(command, module, f"{version} {system}/{architecture}")

    def build(self, package: str, output: Path, linker_flags: Sequence[str], measured: Measured, progress: Progress) -> None:
        """Compile one main package of the module to `output`. Raises BuildFailed."""
        run = _Run(self, measured, progress)
        total = run.count_packages(package)
        run.compile([*_flags("build", linker_flags), "-o", str(output), package], total, {})

    def install(self, package: str, folder: Path, linker_flags: Sequence[str], measured: Measured, progress: Progress) -> None:
        """Compile `module/package@version`, with that module's own requirements, into `folder`. Raises BuildFailed."""
        run = _Run(self, measured, progress)
        run.compile([*_flags("install", linker_flags), package], None, {"GOBIN": str(folder)})


def _flags(verb: str, linker_flags: Sequence[str]) -> list[str]:
    return [verb, "-v", *COMPILED, "-ldflags", " ".join(["-s", "-w", *linker_flags])]


class _Run:
    """One build: its clock, its estimate and the processes of its stages."""

    def __init__(self, toolchain: Toolchain, measured: Measured, progress: Progress) -> None:
        self._toolchain = toolchain
        self._measured = measured
        self._progress = progress
        self._started = time.monotonic()
        cores = len(os.sched_getaffinity(0))
        self._estimate = measured.fetch + measured.link + measured.compile * MEASURED_ON_CORES / cores
        self._environment = os.environ | ENVIRONMENT

    def count_packages(self, package: str) -> int:
        """Fetch the modules that the package needs; how many packages it is made of."""
        with tempfile.TemporaryFile("w+") as listed:
            process = self._start(["list", "-deps", package], stdout=listed, extra={})
            self._follow(process, "fetching modules of", None)
            listed.seek(0)
            return len(listed.readlines())

    def compile(self, arguments: list[str], total: int | None, extra: dict[str, str]) -> None:
        self._follow(self._start(arguments, stdout=subprocess.DEVNULL, extra=extra), "compiling", total)

    def _start(self, arguments: list[str], *, stdout: IO[str] | int, extra: dict[str, str]) -> subprocess.Popen[str]:
        command = ["nice", "-n", "10", self._toolchain.command, *arguments]
        environment = self._environment | extra
        return subprocess.Popen(
            command, cwd=self._toolchain.module, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True
        )

    def _follow(self, process: subprocess.Popen[str], stage: str, total: int | None) -> None:
        """Show progress until the process ends. `go build -v` names each package on stderr as it starts to compile it."""
        output = _Output(process)
        try:
            while True:
                self._show(stage, output.packages, total)
                try:
                    code = process.wait(timeout=TICK)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            output.drained.join()
        if code != 0:
            lines = "\n".join(output.last)
            raise BuildFailed(f"{stage} for {self._measured.program} failed (`go` exited {code}):\n{lines}")

    def _show(self, stage: str, packages: int, total: int | None) -> None:
        elapsed = time.monotonic() - self._started
        estimate, count = self._estimate, ""
        if total is not None and packages >= total:
            stage = "linking"
        elif total is not None and packages > 0:
            count = f" {packages} of {total} packages,"
            if elapsed > estimate:  # a busy or a slow machine: by now its own pace says more than the figures
                estimate = elapsed * total / packages
        self._progress(f"{stage} {self._measured.program}:{count} {span(elapsed)} of about {span(max(estimate, elapsed))}")


class _Output:
    """What a build says: packages counted, everything else kept for its error."""

    PACKAGE = re.compile(r"^[\w.~-]+(/[\w.~-]+)*$")

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.packages = 0
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._process = process
        self.drained = threading.Thread(target=self._read, daemon=True)
        self.drained.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                text = line.rstrip("\n")
                if self.PACKAGE.match(text):
                    self.packages += 1
                else:
                    self.last.append(text)
