"""Reads what this board is and what state it is in. It only reads files of the kernel, so it needs no tools and no permissions."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bramble.contracts.report import BoardFacts, Health
from bramble_workloads.device.memory import status_bytes

THERMAL_FOLDER = Path("/sys/class/thermal")
FIRMWARE_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
"""A hexadecimal mask of the Raspberry Pi's firmware. Bits 0 to 3 are set while there is under-voltage, a capped frequency, throttling or
the soft temperature limit; bits 16 to 19 are set if the same happened since boot.
Source: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled."""
THROTTLED_NOW = 0xF
DEVICE_TREE_MODEL = Path("/proc/device-tree/model")


def temperature() -> float | None:
    """The temperature of the hottest thermal zone in degrees Celsius; None where the kernel reports none."""
    readings = []
    for zone in THERMAL_FOLDER.glob("thermal_zone*/temp"):
        try:
            readings.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):  # reading a zone whose sensor does not work fails
            continue
    return max(readings, default=None)


def throttled() -> bool | None:
    """True while the firmware reduces the clock frequency or reports under-voltage; None on boards without this firmware file."""
    try:
        return bool(int(FIRMWARE_THROTTLED.read_text().strip(), 16) & THROTTLED_NOW)
    except (OSError, ValueError):
        return None


def facts() -> BoardFacts:
    """Describe this board: processor, cores, memory in bytes, kernel."""
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
    """Measure this board: free bytes on the disk that has `folder`, memory of this process in bytes, temperature, throttling."""
    stat = os.statvfs(folder)
    return Health(
        free_bytes=stat.f_bavail * stat.f_frsize,
        memory_bytes=status_bytes("VmRSS"),
        peak_memory_bytes=status_bytes("VmHWM"),
        temperature_celsius=temperature(),
        throttled=throttled(),
    )


def boot_id(file: Path) -> str:
    """The kernel's boot id, which changes at each boot. A container reads that of its host."""
    return file.read_text().strip()


def _cpu() -> str:
    """The board's name from the device tree, such as `Raspberry Pi 5 Model B Rev 1.0`; without a device tree the processor's name."""
    if DEVICE_TREE_MODEL.is_file():
        return DEVICE_TREE_MODEL.read_text().strip("\0\n ")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "model\t")))
    return next(named, platform.processor())
