"""What runs in Jobs and on devices: snapshot, train, evaluate, convert, benchmark, agent."""

import os

from bramble.contracts.pod import TELEMETRY_OFF

# Here, because it must happen before the first import of a library that would report; this file runs before every other of the package.
os.environ.update(TELEMETRY_OFF)
