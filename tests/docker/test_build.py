"""The images as they are built: each starts under the security context that it gets in a cluster, and imports all that it runs."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import yaml

from bramble.kinds.jobs.pod_template import container_security, pod_security
from tools.cluster.cluster import find_binaries
from tools.cluster.docker.build import Built, build
from tools.cluster.docker.engine import Engine, engine
from tools.cluster.errors import ClusterError
from tools.cluster.progress import silent
from tools.installation import CHART, LOCAL_VALUES, RELEASE, Helm

pytestmark = [pytest.mark.images, pytest.mark.timeout(1200)]

IMPORT_ALL = """
import importlib, json, pkgutil, sys

imported = []
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    imported.append(name)
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            imported.append(found.name)
print(json.dumps(imported))
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    """An engine. `.ci/run` asks for these tests only where one can be started: its machine may not allow that."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(engine(print))
        except ClusterError as error:
            if os.environ.get("BRAMBLE_IMAGES_TEST") != "where-possible":
                raise
            pytest.skip(f"no engine can be started here: {error}")
        yield running


@pytest.fixture(scope="module")
def images(docker: Engine) -> dict[str, Built]:
    return {image.name: image for image in build(docker, ("operator", "edge"), print)}


def flags(pod: dict[str, object], container: dict[str, object]) -> list[str]:
    """The security context of a pod and its container as flags of `docker run`. Fails on a field that it does not know."""
    both = {**pod, **container}
    capabilities = both.pop("capabilities")
    assert isinstance(capabilities, dict)
    made = [f"--cap-drop={name}" for name in capabilities.pop("drop", ())] + [f"--cap-add={name}" for name in capabilities.pop("add", ())]
    assert not capabilities
    if both.pop("readOnlyRootFilesystem"):
        made += ["--read-only", "--tmpfs=/tmp"]
    if both.pop("allowPrivilegeEscalation") is False:
        made.append("--security-opt=no-new-privileges")
    assert both.pop("seccompProfile") == {"type": "RuntimeDefault"}
    assert both.pop("runAsNonRoot") is True
    made.append(f"--user={both.pop('runAsUser')}:{both.pop('runAsGroup', 0)}")
    both.pop("fsGroup", None)
    both.pop("fsGroupChangePolicy", None)
    assert not both, f"a field of the security context that this test does not know: {both}"
    return made


def operator_security() -> list[str]:
    """Of the operator's Deployment, as Helm renders the chart."""
    helm = Helm(find_binaries(silent)["helm"])
    rendered = yaml.safe_load_all(helm("template", RELEASE, str(CHART), f"--values={LOCAL_VALUES}"))
    deployment = next(each for each in rendered if each["kind"] == "Deployment" and each["metadata"]["name"] == f"{RELEASE}-operator")
    pod = deployment["spec"]["template"]["spec"]
    return flags(pod["securityContext"], pod["containers"][0]["securityContext"])


def run(docker: Engine, image: Built, security: list[str], *command: str) -> str:
    return docker.run("run", "--rm", "--network=none", *security, "--entrypoint", command[0], image.reference, *command[1:])


def test_the_operator_starts_and_imports_all_its_modules(docker: Engine, images: dict[str, Built]) -> None:
    imported = json.loads(run(docker, images["operator"], operator_security(), "python", "-W", "error", "-c", IMPORT_ALL, "bramble"))
    assert "bramble.handlers.watching" in imported
    assert "bramble.gateway.server" in imported


def test_the_edge_starts_and_imports_what_boards_run(docker: Engine, images: dict[str, Built]) -> None:
    packages = [f"bramble_workloads.{name}" for name in ("edge", "device", "benchmark")]
    security = flags(pod_security(), container_security())
    imported = json.loads(run(docker, images["edge"], security, "python", "-W", "error", "-c", IMPORT_ALL, *packages))
    assert "bramble_workloads.edge.agent" in imported
    assert "bramble_workloads.benchmark.step" in imported


def test_the_root_of_a_container_cannot_be_written(docker: Engine, images: dict[str, Built]) -> None:
    attempt = "import pathlib, sys\ntry: pathlib.Path('/opt/bramble/x').write_text('')\nexcept OSError as e: print(type(e).__name__)"
    security = flags(pod_security(), container_security())
    assert run(docker, images["edge"], security, "python", "-c", attempt) in ("OSError", "PermissionError")
