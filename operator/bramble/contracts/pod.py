"""Where a job's pod has its files: agreed by the operator, which mounts them, and the jobs. Imports nothing, so that a step starts fast."""

from __future__ import annotations

JOB_FILE = "/etc/bramble/job/job.json"
STORE_FOLDER = "/etc/bramble/store"
GATEWAY_TOKEN = "/var/run/bramble/gateway/token"
GATEWAY_CA = "/etc/bramble/gateway/ca.crt"
TERMINATION_LOG = "/dev/termination-log"
DATA_FOLDER = "/bramble/data"
"""Of a training pod: what `fetch` writes and the trainer reads."""
RUN_FOLDER = "/bramble/run"
"""Of a training pod: shared by `fetch`, `sidecar` and the launcher. The launcher itself, checkpoints, output,
progress, logs and the files by which launcher and sidecar agree."""
LAUNCHER = f"{RUN_FOLDER}/launch"
"""What the container `train` runs: `python3 /bramble/run/launch`."""

TELEMETRY_OFF = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Environment variables by which libraries that report to their makers stay silent. They must be set before a library is first imported, so
every image, every pod and `import bramble_workloads` sets them. docs/dependencies.md says what each library would do."""
