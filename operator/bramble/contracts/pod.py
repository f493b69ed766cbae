"""Where the pod of a job has its files. The operator mounts them and the jobs read them. This module imports nothing: steps must start
fast.
"""

from __future__ import annotations

JOB_FILE = "/etc/bramble/job/job.json"
STORE_FOLDER = "/etc/bramble/store"
GATEWAY_TOKEN = "/var/run/bramble/gateway/token"
GATEWAY_CA = "/etc/bramble/gateway/ca.crt"
TERMINATION_LOG = "/dev/termination-log"
CODE_FOLDER = "/opt/bramble/code"
"""Bramble's code in its own images."""
DATA_FOLDER = "/bramble/data"
"""In a training pod: what `fetch` writes and the trainer reads."""
RUN_FOLDER = "/bramble/run"
"""In a training pod: the folder that `fetch`, `sidecar` and `train` share. It has the launcher itself, checkpoints, output, progress and
logs, and the files by which launcher and sidecar talk to each other."""
LAUNCHER = f"{RUN_FOLDER}/launch"
"""The program of the container `train`: `python3 /bramble/run/launch`."""

DISK_LIMIT = "BRAMBLE_DISK_LIMIT"
"""The environment variable with the bytes that the built-in trainer's pod may write before the kubelet evicts it. Without a limit in the
spec it is what the node has, and 0 if the node does not say. Source:
https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#local-ephemeral-storage"""

TELEMETRY_OFF = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Environment variables by which libraries that report to their makers stay silent. They must be set before a library is first imported, so
every image, every pod and `import bramble_workloads` sets them. docs/security.md says what each library would do."""
