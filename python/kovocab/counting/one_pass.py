"""The pass: a corpus through the counter, within a bound of memory, told as it goes, and kept as it goes.

Files are read several at a time; what each has come to, documents and faults, is noted with every batch, so that
where the words are spilled, what was counted is known to the document.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from kovocab import _core
from kovocab.corpus.contents import Fingerprint, Standing, whole_hashes
from kovocab.corpus.faults import Fault
from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.counting.resume import SEEN, Done, Kept
from kovocab.counting.tally import Bounded, Engine
from kovocab.machine import memory
from kovocab.progress import Form, Progress, progress
from kovocab.reading.documents import BATCH_SIZE, Corpus, batches, corpus_files, no_documents
from kovocab.reading.readers import read_files
from kovocab.reading.repeats import Seen

EVERY = 10.0  # seconds of counting, at least, between two times that progress is kept
_WORTH = 20  # and so many times as long as keeping it took
READERS = 8  # files that are read at once, at most


@dataclass
class Pass:
    """A pass over a corpus: what is read and how, and what it has come to.

    Attributes:
        corpus: What is read.
        reading: How documents are found in it.
        threads: How many threads count.
        skip: Whether faults of the corpus are skipped.
        form: Of log lines.
        fingerprint: What identifies a file: a sample of it, or all that it holds.
        files: The files of the corpus; none where it is in memory.
        identities: What identifies each, see `contents.identities`.
        names: What each is called in `done`: no two alike.
        done: What was counted of each, by name, and the faults.
    """

    corpus: Corpus
    reading: Reading
    threads: int
    skip: bool = False
    form: Form = "text"
    fingerprint: Fingerprint = "quick"
    done: Done = field(default_factory=Done)

    def __post_init__(self) -> None:
        self.files = corpus_files(self.corpus)
        self._standing = Standing(self.files, whole_hashes if self.fingerprint == "full" else None)
        self.identities = self._standing.identities
        self.names = dict(zip(self.files, _unique(row["name"] for row in self.identities), strict=True))
        self.bar: Progress | None = None
        self.seen = Seen() if self.reading.deduplicate else None

    def limit(self, size: int) -> None:
        """Bound the bytes that may be used to know documents again."""
        if self.seen is not None:
            self.seen.limit = size

    def goes_on(self, folder: Path) -> None:
        """Know the documents that were counted before, as they were kept in a folder."""
        if self.seen is not None and (folder / SEEN).is_file():
            self.seen.load(folder / SEEN)

    @property
    def stood(self) -> list[dict[str, Any]]:
        """The files as they stood when the pass began: name, size, fingerprint, and what the system said of each."""
        rows = zip(self.files, self.identities, self._standing.states, strict=True)
        return [row | {"name": self.names[path], "state": state} for path, row, state in rows]

    def end(self, distinct_words: int) -> None:
        """Tell machines that the pass has ended, and what it came to."""
        if self.form == "json" and self.bar is not None:
            self.bar.end(distinct_words=distinct_words, peak_memory=memory.peak())

    @property
    def documents(self) -> int:
        """Documents that were counted."""
        return sum(file.documents for file in self.done.files.values()) - self.done.repeated

    @property
    def bytes(self) -> int:
        """Bytes of text that were counted."""
        return sum(file.bytes for file in self.done.files.values()) - self.done.repeated_bytes

    @contextmanager
    def told(self, state: Callable[[], dict[str, int]]) -> Iterator[None]:
        """Tell progress in the block."""
        with progress("count", self.files, self.reading.columns, self.form, state) as bar:
            self.bar = bar
            yield

    def batches(self) -> Iterator[pl.Series]:
        """The documents, some megabytes at a time. When one is asked for, `done` says what was given before.

        Raises:
            CorpusError: the corpus has a fault that is not skipped, changed meanwhile, or holds no documents.
        """
        assert self.bar is not None
        for batch, size in self._of_files() if self.files else self._in_memory():
            yield batch
            self.bar.update(size)
        self.check()

    def check(self) -> None:
        """Check, after all was read, that it was something, and one state of it; errors are those of `batches`."""
        self._standing.check("while it was counted", whole=self.fingerprint == "full")
        if not self.documents:
            raise no_documents(self.corpus, self.done.faults)

    def _in_memory(self) -> Iterator[tuple[pl.Series, int]]:
        seen = self.done.of("")
        reading = replace(self.reading, deduplicate=False)  # which is done here, and counted
        for batch in batches(self.corpus, reading, skip=self.done.skip if self.skip else None):
            size = seen.add(batch)
            yield self._first(batch), size

    def _of_files(self) -> Iterator[tuple[pl.Series, int]]:
        assert self.bar is not None
        for path in self.files:
            seen = self.done.of(self.names[path])
            if seen.bytes:
                self.bar.resumed(seen.bytes)
            if seen.done:
                self.bar.finished(path, seen.bytes)
        items = read_files(
            [path for path in self.files if not self.done.of(self.names[path]).done],
            self.reading,
            at_once=min(self.threads, READERS),
            skip=self.skip,
            start=lambda path: self.done.of(self.names[path]).documents,
        )
        told: Counter[File] = Counter()
        held: list[pl.Series] = []
        size = 0
        for path, item in items:
            seen = self.done.of(self.names[path])
            if item is None:
                seen.done = True
                self.bar.finished(path, seen.bytes)
            elif isinstance(item, Fault):
                told[path] += 1
                if told[path] > seen.faults:  # those before the first document that is new are told again
                    seen.faults += 1
                    self.done.skip(item)
            elif len(item):
                size += seen.add(item)
                held.append(self._first(item))
                if size >= BATCH_SIZE:
                    yield pl.concat(held, rechunk=False), size
                    held, size = [], 0
        if held:
            yield pl.concat(held, rechunk=False), size

    def _first(self, documents: pl.Series) -> pl.Series:
        """Those of the documents that are to be counted."""
        if self.seen is None:
            return documents
        kept, size = self.seen.first(documents)
        self.done.repeated += len(documents) - len(kept)
        self.done.repeated_bytes += size
        return kept


def run(passing: Pass, tally: Bounded[Engine], bpe: _core.Bpe, kept: Kept | None = None) -> None:
    """Count a corpus; spill where the bound is passed, and now and then where progress is kept.

    Args:
        passing: The pass.
        tally: What counts.
        bpe: By what it counts.
        kept: Where progress is kept, if it is.

    Raises:
        CorpusError: see `Pass.batches`.
        ArtefactError: words cannot be spilled.
    """
    last, took = time.monotonic(), 0.0
    for batch in passing.batches():
        begun = time.monotonic()
        spills = tally.full() or (kept is not None and begun - last >= max(EVERY, _WORTH * took))
        # Before words are spilled: `passing.done` says that it was counted.
        passing.done.words_between_space += tally.update(bpe, batch)
        if spills:
            tally.spill()
            if kept is not None:
                parts = tally.parts()
                if passing.seen is not None:
                    parts[SEEN] = passing.seen.keep(kept.folder / SEEN)
                kept.keep(passing.done, parts)
            last = time.monotonic()
            took = last - begun


def _unique(names: Iterable[str]) -> list[str]:
    """Names are below a folder, and files of several stores, or of one page's queries, may share one."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return unique
