"""How many threads to work in."""

import os

from kovocab.errors import UsageError

_MOST_THREADS = 1024  # each has words of its own


def threads_of(threads: int | None) -> int:
    """How many threads to work in: `threads`, or one a processor when None.

    Raises:
        UsageError: `threads` is less than 1, or more than 1,024.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= _MOST_THREADS:
        raise UsageError(f"threads is {threads}; wanted 1 to {_MOST_THREADS:,}")
    return threads
