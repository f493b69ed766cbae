"""Where a job's pod has its files. Each place can be moved by a variable, so that a step also runs outside a pod."""

from __future__ import annotations

import os
from pathlib import Path

from bramble.contracts import pod


def job_file() -> Path:
    """`job.json`; `BRAMBLE_JOB_FILE`."""
    return Path(os.environ.get("BRAMBLE_JOB_FILE", pod.JOB_FILE))


def store_folder() -> Path:
    """The mounted Secret of the store; `BRAMBLE_STORE_FOLDER`."""
    return Path(os.environ.get("BRAMBLE_STORE_FOLDER", pod.STORE_FOLDER))


def gateway_token() -> Path:
    """The projected token, read anew for every call because the kubelet renews it; `BRAMBLE_GATEWAY_TOKEN`."""
    return Path(os.environ.get("BRAMBLE_GATEWAY_TOKEN", pod.GATEWAY_TOKEN))


def gateway_ca() -> Path:
    """The PEM bundle that signs the gateway's certificate; `BRAMBLE_GATEWAY_CA`."""
    return Path(os.environ.get("BRAMBLE_GATEWAY_CA", pod.GATEWAY_CA))


def data_folder() -> Path:
    """Of a training pod: samples and their pictures, read-only to the trainer; `BRAMBLE_DATA_FOLDER`."""
    return Path(os.environ.get("BRAMBLE_DATA_FOLDER", pod.DATA_FOLDER))


def run_folder() -> Path:
    """Of a training pod: shared by fetch, sidecar and launcher; `BRAMBLE_RUN_FOLDER`."""
    return Path(os.environ.get("BRAMBLE_RUN_FOLDER", pod.RUN_FOLDER))


def node_rank() -> int:
    """This pod's rank in its Indexed Job; `JOB_COMPLETION_INDEX`, set by Kubernetes."""
    return int(os.environ.get("JOB_COMPLETION_INDEX", "0"))


def termination_log() -> Path:
    """Where the kubelet reads a container's last word; `BRAMBLE_TERMINATION_LOG`."""
    return Path(os.environ.get("BRAMBLE_TERMINATION_LOG", pod.TERMINATION_LOG))


def node_name() -> str | None:
    """The node that this pod is on; `NODE_NAME`, from the downward API."""
    return os.environ.get("NODE_NAME")


def pod_name() -> str | None:
    """This pod's name; `POD_NAME`, from the downward API."""
    return os.environ.get("POD_NAME")
