"""Progress of long work: a bar on a terminal, a log line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from kovocab.corpus import Corpus, size_on_disk

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two log lines


class Lines:
    """What `tqdm` is on a terminal, as log lines: at most one every 30 seconds."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._bytes = 0
        self._start = self._last = time.monotonic()

    def update(self, size: int) -> None:
        """Add `size` bytes of text."""
        self._bytes += size
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            rate = self._bytes / (now - self._start)
            log.info("%s: %.1f GB of text, %.0f MB/s", self._verb, self._bytes / 1e9, rate / 1e6)


@contextmanager
def progress(verb: str, corpus: Corpus) -> Iterator["tqdm[None] | Lines"]:
    """Yield what to call `update(bytes of text)` on.

    The bar tells bytes per second and time left. The total is the size of the files, so for compressed ones the
    share done is a guess, and the bar says bytes of text alone once they pass it.
    """
    if not sys.stderr.isatty():
        yield Lines(verb)
        return
    total = size_on_disk(corpus)
    with tqdm(total=total, desc=verb, unit="B", unit_scale=True, leave=False) as bar:
        yield bar
