"""Progress of a pass over a corpus: a bar on a terminal, a log line now and then elsewhere."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

from tqdm import tqdm

from kovocab.corpus import Corpus, corpus_files
from kovocab.files import File

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two log lines

RATIOS = {".gz": 2.8, ".zst": 3.5, ".parquet": 3.0}
"""Bytes of text in a byte on disk, of Korean and English web text: the guess until a file was read."""


class Progress:
    """How much is read, how fast, and how much is left.

    The size of the text is known of files that were read to their end; for the rest it is their size on disk
    times the ratio that finished files of the same suffix had.

    Args:
        verb: What the bar and the lines begin with.
        corpus: What is read; how much text it holds is not known of one in memory.
        column: The JSON key that holds the text.
        bar: The bar to move; log lines when None.
    """

    def __init__(self, verb: str, corpus: Corpus, column: str, bar: "tqdm[Never] | None") -> None:
        self._verb, self._bar, self._bytes = verb, bar, 0
        self._start = self._last = time.monotonic()
        # By suffix: the guess, bytes on disk that are left, bytes on disk and bytes of text that were read.
        self._ratio: dict[str, float] = {}
        self._left: dict[str, int] = {}
        self._disk: dict[str, int] = {}
        self._text: dict[str, int] = {}
        for path in corpus_files(corpus):
            kind = path.suffix.lower()
            if kind not in self._ratio:
                plain_json = kind in (".jsonl", ".ndjson")
                self._ratio[kind] = _json_ratio(path, column) if plain_json else RATIOS.get(kind, 1.0)
            self._left[kind] = self._left.get(kind, 0) + path.stat().st_size
        self._estimate()
        if bar is not None:
            bar.refresh()

    def update(self, size: int) -> None:
        """Add `size` bytes of text that were worked on."""
        self._bytes += size
        if self._bar is not None:
            if self._bar.total is not None:  # past its total, tqdm would take share and time away
                self._bar.total = max(self._bar.total, self._bytes)
            self._bar.update(size)
        elif (now := time.monotonic()) - self._last >= EVERY:
            self._last = now
            rate = self._bytes / (now - self._start)
            total = max(self.total or 0, self._bytes)
            known = f", {self._bytes / total:.0%}, {(total - self._bytes) / rate:.0f} s left" if rate else ""
            said = f"{self._bytes / 1e9:.2f} GB of text, {rate / 1e6:.0f} MB/s"
            log.info("%s: %s%s", self._verb, said, known if self.total else "")

    def finished(self, path: File, size: int) -> None:
        """Note that `path` was read to its end and held `size` bytes of text."""
        kind, disk = path.suffix.lower(), path.stat().st_size
        self._left[kind] -= disk
        self._disk[kind] = self._disk.get(kind, 0) + disk
        self._text[kind] = self._text.get(kind, 0) + size
        if self._disk[kind]:
            self._ratio[kind] = self._text[kind] / self._disk[kind]
        self._estimate()

    def end(self) -> None:
        """Say in a log line what it came to; a bar has shown it."""
        if self._bar is None:
            seconds = time.monotonic() - self._start
            rate = self._bytes / max(seconds, 1e-9) / 1e6
            log.info("%s: %s bytes of text, %.1f s, %.0f MB/s", self._verb, f"{self._bytes:,}", seconds, rate)

    def _estimate(self) -> None:
        left = sum(disk * self._ratio[kind] for kind, disk in self._left.items())
        self.total = round(sum(self._text.values()) + left)
        if self._bar is not None and self._ratio:
            self._bar.total = max(self.total, self._bytes)  # drawn at the next update


@contextmanager
def progress(verb: str, corpus: Corpus, column: str = "text") -> Iterator[Progress]:
    """Yield what to tell of each batch that was worked on and each file that was read; see `Progress`."""
    if sys.stderr.isatty():
        with tqdm(file=sys.stderr, desc=verb, unit="B", unit_scale=True, leave=False) as bar:
            yield Progress(verb, corpus, column, bar)
    else:
        watch = Progress(verb, corpus, column, None)
        yield watch
        watch.end()


def _json_ratio(path: File, column: str) -> float:
    """The share of a JSON file that is text, by its beginning: other keys and escapes may be most of it."""
    try:
        with path.open("rb") as file:
            lines = file.read(1 << 18).splitlines(keepends=True)
        kept = lines[:-1] or lines  # the last may be cut
        return sum(len(json.loads(line)[column].encode()) for line in kept) / sum(map(len, kept))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError):
        return 1.0  # reading says what is wrong
