"""The API models can be used without the operator: by the CLI, a console, or another controller."""

from __future__ import annotations

import subprocess
import sys

IMPORT_ALL = """
import importlib, pkgutil, sys
import bramble.api
for module in pkgutil.walk_packages(bramble.api.__path__, "bramble.api."):
    importlib.import_module(module.name)
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
print(" ".join(sorted(name for name in sys.modules if name.startswith("bramble."))))
"""


def test_they_import_no_client_library_and_no_controller() -> None:
    output = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True, timeout=60).stdout
    packages, ours = (set(line.split()) for line in output.splitlines())
    assert "bramble.api.rollout" in ours, "the modules were imported"
    unwanted = packages & {"kopf", "aiohttp", "minio", "kubernetes", "prometheus_client", "numpy", "torch"}
    assert not unwanted, f"importing bramble.api also imports {sorted(unwanted)}"
    controllers = {name.split(".")[1] for name in ours} & {"kinds", "engine", "gateway", "handlers", "settings"}
    assert not controllers, f"importing bramble.api also imports {sorted(controllers)} of bramble"
