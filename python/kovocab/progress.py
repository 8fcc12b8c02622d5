"""Progress of a pass over a corpus: a bar on a terminal, a log line now and then elsewhere."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Never, TypeAlias

from tqdm import tqdm

from kovocab.corpus.files import File
from kovocab.errors import quantity

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two log lines

Form: TypeAlias = Literal["text", "json"]

RATIOS = {".gz": 2.8, ".zst": 3.5, ".bz2": 4.0, ".xz": 4.0, ".parquet": 3.0, ".zip": 2.5, ".tgz": 2.5}
"""Bytes of text in a byte on disk, of Korean and English web text: the guess until a file was read."""


class Progress:
    """How much is read, how fast, and how much is left.

    The size of the text is known of files that were read to their end; for the rest it is their size on disk
    times the ratio that finished files of the same suffix had.

    Args:
        verb: What the bar and the lines begin with.
        files: What is read; of a corpus in memory, which has none, it is not known how much text it holds.
        columns: The JSON keys that hold the text.
        bar: The bar to move; log lines when None.
        form: Of the log lines: words for people, or a JSON object each for machines.
        state: What else is to be told, as numbers: `distinct_words`, `memory` and `spilled_bytes`, in bytes.
    """

    def __init__(
        self,
        verb: str,
        files: Sequence[File],
        columns: tuple[str, ...],
        bar: "tqdm[Never] | None",
        form: Form = "text",
        state: Callable[[], dict[str, int]] = dict,
    ) -> None:
        self._verb, self._bar, self._form, self._state = verb, bar, form, state
        self._bytes = self._before = 0
        self._start = self._last = time.monotonic()
        # By suffix: the guess, bytes on disk that are left, bytes on disk and bytes of text that were read.
        self._ratio: dict[str, float] = {}
        self._left: dict[str, int] = {}
        self._disk: dict[str, int] = {}
        self._text: dict[str, int] = {}
        self._size: dict[File, int] = {}
        for path in files:
            kind = path.suffix.lower()
            if kind not in self._ratio:
                plain_json = kind in (".jsonl", ".ndjson")
                self._ratio[kind] = _json_ratio(path, columns) if plain_json else RATIOS.get(kind, 1.0)
            try:
                self._size[path] = path.stat().st_size
            except OSError:
                self._size[path] = 0  # reading says why
            self._left[kind] = self._left.get(kind, 0) + self._size[path]
        self._estimate()
        if bar is not None:
            bar.refresh()

    def resumed(self, size: int) -> None:
        """Add `size` bytes of text that an earlier run worked on: they are done, but not at this run's speed."""
        self._before += size
        if self._bar is not None:
            self._bar.initial += size
        self.update(size)

    def update(self, size: int) -> None:
        """Add `size` bytes of text that were worked on."""
        self._bytes += size
        if self._bar is not None:
            if self._bar.total is not None:  # past its total, tqdm would take share and time away
                self._bar.total = max(self._bar.total, self._bytes)
            if state := self._state():
                self._bar.set_postfix_str(_state_in_words(state), refresh=False)
            self._bar.update(size)
        elif (now := time.monotonic()) - self._last >= EVERY:
            self._last = now
            self._tell("progress", self._now())

    def finished(self, path: File, size: int) -> None:
        """Note that `path` was read to its end and held `size` bytes of text."""
        kind, disk = path.suffix.lower(), self._size[path]
        self._left[kind] -= disk
        self._disk[kind] = self._disk.get(kind, 0) + disk
        self._text[kind] = self._text.get(kind, 0) + size
        if self._disk[kind]:
            self._ratio[kind] = self._text[kind] / self._disk[kind]
        self._estimate()

    def end(self, **told: int) -> None:
        """Say in a log line what it came to, a bar has shown it; with what is `told` besides."""
        if self._bar is None:
            now = self._now()
            now.pop("share", None)
            now.pop("seconds_left", None)
            self._tell("done", now | told)

    def _now(self) -> dict[str, float]:
        seconds = time.monotonic() - self._start
        rate = (self._bytes - self._before) / max(seconds, 1e-9)
        now = {"bytes": self._bytes, "seconds": round(seconds, 3), "bytes_per_second": round(rate)}
        if self.total and rate:
            total = max(self.total, self._bytes)
            now |= {"share": round(self._bytes / total, 4), "seconds_left": round((total - self._bytes) / rate)}
        return now | self._state()

    def _tell(self, event: str, now: dict[str, float]) -> None:
        if self._form == "json":
            log.info("%s", json.dumps({"event": event, "verb": self._verb, **now}))
            return
        if event == "done":
            said = f"{quantity(int(now['bytes']), 'byte')} of text, {now['seconds']:.1f} s"
        else:
            said = f"{_size(now['bytes'])} of text"
        said += f", {_size(now['bytes_per_second'])}/s"
        if "share" in now:
            said += f", {now['share']:.0%}, {now['seconds_left']:.0f} s left"
        state = _state_in_words(now)
        log.info("%s: %s%s", self._verb, said, state and f", {state}")

    def _estimate(self) -> None:
        left = sum(disk * self._ratio[kind] for kind, disk in self._left.items())
        self.total = round(sum(self._text.values()) + left)
        if self._bar is not None and self._ratio:
            self._bar.total = max(self.total, self._bytes)  # drawn at the next update


@contextmanager
def progress(
    verb: str,
    files: Sequence[File],
    columns: tuple[str, ...] = ("text",),
    form: Form = "text",
    state: Callable[[], dict[str, int]] = dict,
) -> Iterator[Progress]:
    """Yield what to tell of each batch that was worked on and each file that was read; see `Progress`.

    With `form` "json" there is no bar, and the end is left to be told by the caller, who knows what it came to.
    """
    if form == "text" and sys.stderr.isatty():
        with tqdm(file=sys.stderr, desc=verb, unit="B", unit_scale=True, leave=False) as bar:
            yield Progress(verb, files, columns, bar, form, state)
    else:
        watch = Progress(verb, files, columns, None, form, state)
        yield watch
        if form == "text":
            watch.end()


@contextmanager
def all_as(form: Form) -> Iterator[None]:
    """With "json", make an object of every log line in the block: of one that is none, its `event` is "note"."""
    handlers = logging.getLogger().handlers if form == "json" else []
    before = [handler.formatter for handler in handlers]
    for handler in handlers:
        handler.setFormatter(_Objects())
    try:
        yield
    finally:
        for handler, formatter in zip(handlers, before, strict=False):
            handler.setFormatter(formatter)


class _Objects(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        if said.startswith('{"event": '):
            return said
        return json.dumps({"event": "note", "level": record.levelname.lower(), "message": said})


def _state_in_words(state: Mapping[str, float]) -> str:
    said = []
    if words := state.get("distinct_words"):
        many = f"{words / 1e6:.2f} M distinct words" if words >= 1e6 else quantity(int(words), "distinct word")
        said.append(f"{many} in memory")
    if "memory" in state:
        said.append(f"{_size(state['memory'])} used")
    if state.get("spilled_bytes"):
        said.append(f"{_size(state['spilled_bytes'])} spilled")
    return ", ".join(said)


def _size(count: float) -> str:
    """Bytes, in a unit that leaves something of them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.2f} {unit}"
    return quantity(round(count), "byte")


def _json_ratio(path: File, columns: tuple[str, ...]) -> float:
    """The share of a JSON file that is text, by its beginning: other keys and escapes may be most of it."""
    try:
        with path.open("rb") as file:
            lines = file.read(1 << 18).splitlines(keepends=True)
        kept = lines[:-1] or lines  # the last may be cut
        rows = [json.loads(line) for line in kept]
        return sum(len(row[column].encode()) for row in rows for column in columns) / sum(map(len, kept))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError, RecursionError):
        return 1.0  # reading says what is wrong
