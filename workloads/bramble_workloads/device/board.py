"""What this board is and how it fares. Files of the kernel only: no tool, no right beyond reading."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bramble.contracts.report import BoardFacts, Health
from bramble_workloads.device.memory import status_bytes

THERMAL = Path("/sys/class/thermal")
FIRMWARE_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
"""Raspberry Pi firmware: a hexadecimal mask; bits 0 to 3 are under-voltage, capped frequency, throttling and the soft temperature limit,
now; bits 16 to 19 the same since boot."""
NOW = 0xF
DEVICE_TREE_MODEL = Path("/proc/device-tree/model")


def temperature() -> float | None:
    """Degrees Celsius of the hottest zone that the kernel reports; None where it reports none."""
    readings = []
    for zone in THERMAL.glob("thermal_zone*/temp"):
        try:
            readings.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):  # a zone without a working sensor refuses to be read
            continue
    return max(readings, default=None)


def throttled() -> bool | None:
    """Whether the board holds its clock down now; None where it does not say."""
    try:
        return bool(int(FIRMWARE_THROTTLED.read_text().strip(), 16) & NOW)
    except (OSError, ValueError):
        return None


def facts() -> BoardFacts:
    """What this board is."""
    return BoardFacts(
        machine=platform.machine(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        page_size=os.sysconf("SC_PAGE_SIZE"),
        kernel=platform.release(),
        temperature_celsius=temperature(),
        throttled=throttled(),
    )


def health(folder: Path) -> Health:
    """How it fares: free bytes of the disk below a folder, memory of this process."""
    stat = os.statvfs(folder)
    return Health(
        free_bytes=stat.f_bavail * stat.f_frsize,
        memory_bytes=status_bytes("VmRSS"),
        peak_memory_bytes=status_bytes("VmHWM"),
        temperature_celsius=temperature(),
        throttled=throttled(),
    )


def boot_id(file: Path) -> str:
    """New with each boot of the host; containers see the host's."""
    return file.read_text().strip()


def _cpu() -> str:
    """A board with a device tree names itself (`Raspberry Pi 5 Model B Rev 1.0`); others name their processor."""
    if DEVICE_TREE_MODEL.is_file():
        return DEVICE_TREE_MODEL.read_text().strip("\0\n ")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "model\t")))
    return next(named, platform.processor())
