"""An existing cluster by its kube context, for those who have one: no node of it can be killed from here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

from tools.cluster import diagnostics
from tools.cluster.errors import MissingRequirement, NotSupported
from tools.cluster.kubectl import Kubectl
from tools.cluster.store import BUCKET, S3


class ExistingCluster(Kubectl):
    """The same interface where it makes sense; the rest raises NotSupported.

    Images come from BRAMBLE_IMAGE_OPERATOR, …_TRAIN, …_CONVERT and …_EDGE, the store from BRAMBLE_S3_ENDPOINT, BRAMBLE_S3_ACCESS_KEY,
    BRAMBLE_S3_SECRET_KEY and BRAMBLE_S3_BUCKET (one endpoint for host and pods).
    """

    def __init__(self, context: str, kubeconfig: Path | None = None) -> None:
        program = shutil.which("kubectl")
        if program is None:
            raise MissingRequirement("an existing cluster needs kubectl on PATH")
        chosen = os.environ.get("KUBECONFIG")
        super().__init__(program, kubeconfig or (Path(chosen) if chosen else None), context)
        self.name = context

    @property
    def images(self) -> dict[str, str]:
        return _NamedImages()

    @property
    def s3(self) -> S3:
        endpoint = _required("BRAMBLE_S3_ENDPOINT")
        keys = (_required("BRAMBLE_S3_ACCESS_KEY"), _required("BRAMBLE_S3_SECRET_KEY"))
        return S3(endpoint, endpoint, *keys, bucket=os.environ.get("BRAMBLE_S3_BUCKET", BUCKET))

    up_seconds = None

    @property
    def nodes(self) -> NoReturn:
        raise NotSupported(f"nodes of the existing cluster {self.context!r} cannot be touched")

    @property
    def shape(self) -> NoReturn:
        raise NotSupported(f"the shape of the existing cluster {self.context!r} is not ours")

    @property
    def audit_log(self) -> NoReturn:
        raise NotSupported(f"the audit log of the existing cluster {self.context!r} is out of reach")

    def status(self) -> NoReturn:
        raise NotSupported(f"processes of the existing cluster {self.context!r} are out of reach")

    def stop(self, process: str) -> NoReturn:
        raise NotSupported(f"{process} of the existing cluster {self.context!r} is not ours to stop")

    def add_image(self, *_: object) -> NoReturn:
        raise NotSupported(f"the existing cluster {self.context!r} takes images from its registries only")

    def forward(self, address: str, port: int) -> NoReturn:
        raise NotSupported(f"no relay to {address}:{port} of the existing cluster {self.context!r}: use kubectl port-forward")

    def forward_service(self, namespace: str, name: str, port: int) -> NoReturn:
        self.forward(f"{name}.{namespace}", port)

    def down(self) -> None:
        """Nothing: it is not ours."""

    def dump(self, to: Path) -> Path:
        return diagnostics.dump(self, to)


class _NamedImages(dict[str, str]):
    """Images by name, each asked of the environment only when a test wants it."""

    def __missing__(self, name: str) -> str:
        return _required(f"BRAMBLE_IMAGE_{name.upper()}")


def _required(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise NotSupported(f"with an existing cluster, {variable} must be set")
    return value
