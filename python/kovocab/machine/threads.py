"""How many threads to work in."""

import os

from kovocab.errors import whole

_MOST_THREADS = 1024  # each has words of its own


def threads_of(threads: int | None) -> int:
    """How many threads to work in: `threads`, or one a processor when None.

    Raises:
        UsageError: `threads` is no whole number from 1 to 1,024.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return whole("threads", threads, 1, _MOST_THREADS)
