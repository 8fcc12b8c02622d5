"""Memory: how much there is, how much is used, and how much a run may use."""

import re
import sys
from pathlib import Path

from kovocab.errors import UsageError

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
MOST = 1 << 60  # what the engine can count to, and no machine has
LEAST = 512 << 20  # Python, Polars, the batches that are read ahead and the smallest tables


def bound(memory: str | int | None) -> int:
    """How many bytes a run may use: what `memory` says, or half of what the machine has.

    Args:
        memory: Bytes, or a number with a unit: "4GB", "512MiB".

    Raises:
        UsageError: it is no size, or less than 512 MiB.
    """
    if memory is None:
        return max(LEAST, total() // 2)
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]i?B|)", str(memory).strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"memory is {memory!r}; wanted bytes, or a size such as 4GB or 512MiB")
    size = float(found[1]) * UNITS[found[2].upper()]
    if size > MOST:
        raise UsageError(f"memory is {memory}; wanted less than {MOST >> 50:,}PiB")
    if size < LEAST:
        raise UsageError(f"memory is {memory}; wanted at least {LEAST >> 20}MiB")
    return int(size)


def total() -> int:
    """Bytes of memory of this machine, or of the container where that is less."""
    from psutil import virtual_memory

    machine: int = virtual_memory().total
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # another system, or "max"
        return machine


def available() -> int:
    """Bytes of memory that can be had now without swapping; no more than `total`."""
    from psutil import virtual_memory

    return min(virtual_memory().available, total())


def used() -> int:
    """Bytes of memory that this process uses now."""
    from psutil import Process

    found: int = Process().memory_info().rss
    return found


def peak() -> int:
    """The most bytes of memory that this process used."""
    if sys.platform == "win32":
        from psutil import Process

        return Process().memory_info().peak_wset
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
