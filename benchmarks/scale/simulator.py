"""The process of the simulated devices: `python -m benchmarks.scale.simulator FOLDER`, in a pod of the cluster.

The folder is shared with the process that measures (`benchmarks.scale.__main__`): `config.json` says which devices there are, each line of
`orders` is carried out once, and `state.json` says twice a second what the devices have seen.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import ssl
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.scale.devices import Device, Figures, Fleet
from bramble.contracts.report import OFFLINE_SECONDS, REPORT_SECONDS

WRITE_SECONDS = 0.5
NINETY_NINE = 99
NEVER = 1_000_000
"""Collections of the middle generation after which Python would collect everything. With a thousand devices that stops all of them for
half a second and more, several times while they connect. A device of its own has a hundredth of the objects."""


class Simulation:
    """All devices, and what is told about them."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self.folder, self._done = folder, 0
        context = ssl.create_default_context()
        names = ("url", "fleet", "board", "namespace", "model", "errors")
        self.fleet = Fleet(ca=folder / "ca.crt", context=context, **{name: config[name] for name in names})
        self.devices = [Device(node, folder / "tokens" / node, self.fleet) for node in config["nodes"]]
        self._lag = 0.0
        self._all_again: float | None = None
        self._processor = 0.0
        self._ordered_at = time.monotonic()

    async def run(self) -> None:
        """Run for ever. The devices begin within one interval of reports, as those of a real fleet do."""
        running = [asyncio.create_task(self._begin(number, device)) for number, device in enumerate(self.devices)]
        telling = asyncio.create_task(self._tell())
        done, _ = await asyncio.wait([*running, telling], return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def _begin(self, number: int, device: Device) -> None:
        await asyncio.sleep(REPORT_SECONDS * number / len(self.devices))
        await device.run()

    async def _tell(self) -> None:
        while True:
            self._obey()
            self._look()
            part = self.folder / "state.part"
            part.write_text(json.dumps(self.state()))
            part.rename(self.folder / "state.json")
            began = time.monotonic()
            await asyncio.sleep(WRITE_SECONDS)
            self._lag = max(self._lag, time.monotonic() - began - WRITE_SECONDS)

    def _obey(self) -> None:
        path = self.folder / "orders"
        lines = path.read_text().splitlines() if path.is_file() else []
        for line in lines[self._done :]:
            self.fleet.figures, self._lag, self._all_again, self._ordered_at = Figures(), 0.0, None, time.monotonic()
            self._processor = time.process_time()
            if line == "reconnect":
                for device in self.devices:
                    device.reconnect()
        self._done = len(lines)

    def _look(self) -> None:
        """Note when the last device has reported again since the last order."""
        if self._all_again is None and all((device.reported_at or 0.0) > self._ordered_at for device in self.devices):
            self._all_again = max(device.reported_at or 0.0 for device in self.devices) - self._ordered_at

    def state(self) -> dict[str, Any]:
        """What the devices have seen, figures since the last order."""
        figures, now = self.fleet.figures, time.monotonic()
        latencies = sorted(figures.latencies)
        cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else []
        online = sum(device.reported_at is not None and now - device.reported_at < OFFLINE_SECONDS for device in self.devices)
        return {
            "at": time.time(),
            "orders": self._done,
            "devices": len(self.devices),
            "online": online,
            "serving": Counter(f"{device.active} {device.cohort}" for device in self.devices),
            "heard": {str(seq): [each.devices, each.first, each.last] for seq, each in self.fleet.heard.items()},
            "reports": len(latencies),
            "p50": statistics.median(latencies) if latencies else None,
            "p99": cuts[NINETY_NINE - 1] if cuts else None,
            "slowest": latencies[-1] if latencies else None,
            "failures": figures.failures,
            "turnedAway": figures.turned_away,
            "early": figures.early,
            "mostCallsInTenth": max(figures.calls.values(), default=0),
            "longestGap": figures.longest_gap,
            "allAgain": self._all_again,
            "lag": self._lag,
            "processor": time.process_time() - self._processor,
            "load": os.getloadavg()[0],
        }


def main() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    uvloop.run(Simulation(Path(sys.argv[1])).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
