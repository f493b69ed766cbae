"""The programs that run in Jobs and on devices: snapshot, train, evaluate, convert, benchmark, agent."""

import os

from bramble.contracts.pod import TELEMETRY_OFF

# This file runs before all others of the package, so the variables are set before a library that would report is imported.
os.environ.update(TELEMETRY_OFF)
