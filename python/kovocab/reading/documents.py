"""The reader: a corpus, whatever it is kept in, as batches of documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import polars as pl

from kovocab.corpus.contents import Hashes, identities
from kovocab.corpus.faults import Fault, Skip, fail, half_pair
from kovocab.corpus.files import File, files, kind
from kovocab.corpus.remote import is_url, shown
from kovocab.corpus.settings import TEXT, Reading
from kovocab.errors import CorpusError, UsageError, quantity
from kovocab.reading.formats import normalized, read_file
from kovocab.reading.repeats import first_of_each
from kovocab.reading.tables import check_parquet, read_frame

Corpus: TypeAlias = str | Path | Sequence[str | Path] | pl.DataFrame | pl.LazyFrame | pl.Series | Iterable[str]
"""What can be read as a corpus.

- a `str` or `Path`: a file, a folder or a glob; a `list` or `tuple` of them: all of these;
- a `str` may be a URL: `s3://`, `gs://` or `hf://`, with the same rules, or `https://`, of one file;
- a Polars frame or lazy frame: its column of text; a Polars series: its texts;
- any other iterable of `str` (generator, iterator, map ...), no dict and no set: its texts.

A list of strings is therefore a list of *paths*: pass texts in a list as `pl.Series(texts)` or `iter(texts)`.
"""

_NO_TEXTS = (bytes, bytearray, Mapping, set, frozenset)  # numbers; the names of columns; texts in no order
BATCH_SIZE = 16 << 20  # the work on a batch outweighs handing it over, and it is small beside the counts


def corpus_files(corpus: Corpus) -> list[File]:
    """List the files of a corpus, see `files`; none where it is in memory."""
    return files(corpus) if _is_paths(corpus) else []


def local_files(corpus: Corpus) -> list[Path]:
    """Those of `corpus_files` that are on this machine; remote ones are not asked for."""
    if not _is_paths(corpus):
        return []
    items = [corpus] if isinstance(corpus, str | Path) else corpus
    here = [item for item in items if not (isinstance(item, str | Path) and is_url(item))]
    return [path for path in files(here) if isinstance(path, Path)] if here else []


def check_readable(corpus: Corpus, reading: Reading = TEXT) -> None:
    """See, without reading it all, that the files of a corpus are there and hold texts.

    Of each Parquet file the columns are looked at, of other files the beginning of the first of each kind.

    Raises:
        CorpusError: one is missing, or has no such column; names it.
    """
    seen = set()
    for path in corpus_files(corpus):
        how = kind(path)
        if how == "parquet":
            check_parquet(path, reading)
        elif how not in seen:
            seen.add(how)
            next(read_file(path, reading), None)


def batches(
    corpus: Corpus,
    reading: Reading = TEXT,
    *,
    batch_size: int = BATCH_SIZE,
    skip: Skip | None = None,
) -> Iterator[pl.Series]:
    """Read a corpus, in order, as series of documents.

    Memory is bounded by `batch_size`, by what Polars reads ahead, and by the largest document. A byte-order
    mark at the start of a file is removed, and so is a carriage return before a newline. A blank line is a
    document in a text file, and nothing in a JSON file.

    Args:
        corpus: see `Corpus`.
        reading: how documents are found in it.
        batch_size: bytes of text, at most, in a batch; a larger document comes alone.
        skip: told of each fault in the corpus, which is then skipped, see `read_file`; None: the first fault is
            an error.

    Yields:
        Series of type String, named `text`, never empty, without nulls; they may have several chunks.

    Raises:
        CorpusError: something is broken or not text, and `skip` is None: names the file and the place in it.
            Or a path is missing, a server is not reached or refuses, or there are no documents at all.
        UsageError: `corpus` is not a corpus, or `batch_size` is not positive.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; wanted at least 1 byte")
    empty, faults = True, 0

    def told(fault: Fault) -> None:
        nonlocal faults
        faults += 1
        (skip or fail)(fault)

    parts = _parts(corpus, reading, None if skip is None else told)
    if reading.deduplicate:
        parts = first_of_each(parts)
    for batch in _sized(parts, batch_size):
        empty = False
        yield batch
    if empty:
        raise no_documents(corpus, faults)


def fingerprint(corpus: Corpus, reading: Reading = TEXT, hashes: Hashes | None = None) -> dict[str, Any]:
    """Say what identifies a corpus, for the record of what was made from it.

    Names are relative to the folder that the files share, so a corpus that was moved is still the same corpus.

    Args:
        corpus: See `Corpus`.
        reading: How documents are found in it.
        hashes: As for `contents.identities`.

    Returns:
        `{"kind": "files", "column", "bytes", "files": [...]}`, see `contents.identities` for the files, and what
        else `Reading.recorded` says; or `{"kind": "memory"}`, and that but for the column.
    """
    return fingerprint_of(identities(corpus_files(corpus), hashes), reading)


def fingerprint_of(rows: list[dict[str, Any]], reading: Reading) -> dict[str, Any]:
    """The fingerprint of the corpus whose files `contents.identities` tells, none if it is in memory."""
    said = reading.recorded()
    if not rows:
        return {"kind": "memory"} | {name: value for name, value in said.items() if name != "column"}
    return {"kind": "files", **said, "bytes": sum(row["bytes"] for row in rows), "files": rows}


def no_documents(corpus: Corpus, faults: int = 0) -> CorpusError:
    """The error that a corpus is empty, or that all of it was skipped: so many faults."""
    name = shown(corpus) if isinstance(corpus, str | Path) else "the corpus"
    skipped = f"{quantity(faults, 'fault')} {'was' if faults == 1 else 'were'} skipped"
    why = f" that can be read: {skipped}" if faults else ""
    return CorpusError(f"{name} holds no documents{why}; wanted at least one")


def _is_paths(corpus: Corpus) -> TypeGuard[str | Path | Sequence[str | Path]]:
    return isinstance(corpus, str | Path | list | tuple)


def _parts(corpus: Corpus, reading: Reading, skip: Skip | None) -> Iterator[pl.Series]:
    """Documents in pieces of whatever size is at hand."""
    if _is_paths(corpus):
        for path in files(corpus):
            yield from read_file(path, reading, skip=skip)
    elif isinstance(corpus, pl.DataFrame | pl.LazyFrame):
        yield from normalized(read_frame(corpus, reading, "the frame", skip or fail), reading)
    elif isinstance(corpus, pl.Series):
        yield from normalized(read_frame(corpus.alias("text").to_frame(), TEXT, "the series", skip or fail), reading)
    elif isinstance(corpus, Iterable) and not isinstance(corpus, _NO_TEXTS):
        yield from normalized(_read_iterable(corpus, skip or fail), reading)
    else:
        wanted = "a path, a glob, a list of them, a Polars frame or series, or an iterable of strings"
        if isinstance(corpus, Mapping):
            counts = "word counts, for count_tokens, a frame, word: String, count: UInt64"
            wanted += f', pl.Series(d["text"]) say; {counts}'
        raise UsageError(f"a corpus cannot be of type {type(corpus).__name__}; wanted {wanted}")


def _sized(parts: Iterator[pl.Series], limit: int) -> Iterator[pl.Series]:
    """Join and split `parts` into series of at most `limit` bytes of text."""
    held: list[pl.Series] = []
    size = 0
    for part in parts:
        stack = [part.alias("text")]
        while stack:
            piece = stack.pop()
            bytes_ = int(piece.str.len_bytes().sum())
            if bytes_ > limit and len(piece) > 1:
                half = len(piece) // 2
                stack += [piece[half:], piece[:half]]
                continue
            if held and size + bytes_ > limit:
                yield pl.concat(held, rechunk=False)
                held, size = [], 0
            if len(piece):
                held.append(piece)
                size += bytes_
    if held:
        yield pl.concat(held, rechunk=False)


def _read_iterable(texts: Iterable[object], skip: Skip) -> Iterator[pl.Series]:
    held: dict[int, str] = {}
    size = 0
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            found = f"found {text!r:.40}; wanted a string"
            skip(Fault("the iterable", f"document {number}", found, 1))
            continue
        held[number] = text
        size += len(text)
        if size >= BATCH_SIZE // 4 or len(held) == 1 << 16:
            yield _encodable(held, skip)
            held, size = {}, 0
    yield _encodable(held, skip)


def _encodable(texts: dict[int, str], skip: Skip) -> pl.Series:
    try:
        return pl.Series(list(texts.values()), dtype=pl.String)
    except UnicodeEncodeError:
        halves = {number: half for number, text in texts.items() if (half := half_pair(text))}
    for number, half in halves.items():
        found = f"holds {half}, half of a surrogate pair; wanted text"
        skip(Fault("the iterable", f"document {number}", found, 1))
    return pl.Series([text for number, text in texts.items() if number not in halves], dtype=pl.String)
