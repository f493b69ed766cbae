"""Where the pod of a job has its files. An environment variable overrides each path, so that a step also runs outside a pod."""

from __future__ import annotations

import os
from pathlib import Path

from bramble.contracts import pod


def job_file() -> Path:
    """`job.json`. Override: `BRAMBLE_JOB_FILE`."""
    return Path(os.environ.get("BRAMBLE_JOB_FILE", pod.JOB_FILE))


def store_folder() -> Path:
    """The mounted Secret of the store, one file for each key. Override: `BRAMBLE_STORE_FOLDER`."""
    return Path(os.environ.get("BRAMBLE_STORE_FOLDER", pod.STORE_FOLDER))


def gateway_token() -> Path:
    """The projected token. Read it again for each call, because the kubelet renews it. Override: `BRAMBLE_GATEWAY_TOKEN`."""
    return Path(os.environ.get("BRAMBLE_GATEWAY_TOKEN", pod.GATEWAY_TOKEN))


def gateway_ca() -> Path:
    """The PEM bundle of the authorities that sign the gateway's certificate. Override: `BRAMBLE_GATEWAY_CA`."""
    return Path(os.environ.get("BRAMBLE_GATEWAY_CA", pod.GATEWAY_CA))


def data_folder() -> Path:
    """In a training pod: the samples and their pictures, which the trainer may only read. Override: `BRAMBLE_DATA_FOLDER`."""
    return Path(os.environ.get("BRAMBLE_DATA_FOLDER", pod.DATA_FOLDER))


def run_folder() -> Path:
    """In a training pod: the folder that fetch, sidecar and launcher share. Override: `BRAMBLE_RUN_FOLDER`."""
    return Path(os.environ.get("BRAMBLE_RUN_FOLDER", pod.RUN_FOLDER))


def node_rank() -> int:
    """The index of this pod in its Indexed Job. Kubernetes sets `JOB_COMPLETION_INDEX`; without it the rank is 0."""
    return int(os.environ.get("JOB_COMPLETION_INDEX", "0"))


def termination_log() -> Path:
    """The file from which the kubelet reads a container's termination message. Override: `BRAMBLE_TERMINATION_LOG`."""
    return Path(os.environ.get("BRAMBLE_TERMINATION_LOG", pod.TERMINATION_LOG))


def node_name() -> str | None:
    """The node of this pod: `NODE_NAME`, set by the downward API."""
    return os.environ.get("NODE_NAME")


def pod_name() -> str | None:
    """The name of this pod: `POD_NAME`, set by the downward API."""
    return os.environ.get("POD_NAME")
