"""Counts: a corpus read once into word counts, and token counts derived from them, exactly.

The corpus comes in batches from `corpus`, the counting is Rust's (`_core`). Word counts are a plain frame,
`word: str, count: u64`; on disk they are a Parquet file whose metadata hold the record of what made it.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import tokenizers

from kovocab import _core, hangul
from kovocab.artefact import Record, new_file
from kovocab.corpus import Corpus, batches, fingerprint
from kovocab.errors import CorpusError, TokenizerError, UsageError
from kovocab.progress import progress
from kovocab.tokenizer import Source, load_tokenizer

log = logging.getLogger(__name__)

WORDS = pl.Schema({"word": pl.String, "count": pl.UInt64})
_METADATA = "kovocab"
_MOST_THREADS = 1024  # each has a table of its own


@dataclass(frozen=True)
class Counted:
    """Word counts with the record of what was counted.

    Attributes:
        words: `word: str, count: u64`, sorted by count (descending) and word (ascending).
        record: Corpus fingerprint, tokenizer, cut, sums.
    """

    words: pl.DataFrame
    record: Record

    def save(self, path: str | Path) -> None:
        """Write the words as Parquet, the record in its metadata under the key `kovocab`."""
        with new_file(path) as beside:
            self.words.write_parquet(beside, metadata={_METADATA: json.dumps(self.record, ensure_ascii=False)})


def count(corpus: Corpus, tokenizer: Source, *, column: str = "text", threads: int | None = None) -> Counted:
    """Count the words of `corpus`, with a record; `count_words` is this without one.

    A word is what the tokenizer cannot merge across: normalised text (`▁` for a space) cut before spaces, round
    newlines and where Hangul meets the rest, as far as no entry of the vocabulary spans such a place. A kind of
    place that an entry spans is not cut, and a warning says so; where none is left, whole documents are counted.

    Args:
        corpus: What `kovocab.corpus.Corpus` lists.
        tokenizer: Whose vocabulary decides where text may be cut.
        column: The Parquet column or JSON key that holds the text.
        threads: How many threads count; all processors when None. The result does not depend on it.

    Raises:
        CorpusError: a file cannot be read (named, with the place), or the corpus holds no documents.
        TokenizerError: the tokenizer is not SentencePiece-style; `count_tokens` counts with any.
        UsageError: `threads` is less than 1.
    """
    loaded = load_tokenizer(tokenizer)
    bpe = _bpe(loaded)
    for kind, cut in zip(("spaces", "newlines", "Hangul"), bpe.cut, strict=True):
        if not cut:
            log.warning("entries of the vocabulary span %s: text is not cut there, which is slower", kind)
    counter = _core.WordCounter(bpe, _threads(threads))
    sums = _Sums()
    for batch in sums.watch(corpus, column):
        counter.update(batch)
    words = pl.DataFrame(counter.finish())
    record = {
        "verb": "count",
        "kovocab": version("kovocab"),
        "corpus": fingerprint(corpus, column),
        "documents": sums.documents,
        "bytes": sums.bytes,
        "words": int(words["count"].sum()),
        "distinct_words": len(words),
        "tokenizer": digest(loaded),
        "cut": list(bpe.cut),
    }
    return Counted(words, record)


def count_words(corpus: Corpus, tokenizer: Source, *, column: str = "text", threads: int | None = None) -> pl.DataFrame:
    """Count the words of `corpus`; arguments and errors are those of `count`.

    Returns:
        `word: str, count: u64`, sorted by count (descending) and word (ascending).
    """
    return count(corpus, tokenizer, column=column, threads=threads).words


def count_tokens(
    words_or_corpus: pl.DataFrame | Corpus,
    tokenizer: Source,
    *,
    column: str = "text",
    threads: int | None = None,
) -> pl.DataFrame:
    """Count how often each token of `tokenizer` is emitted, special tokens in the text included.

    The counts are those of the tokenizer itself on every document, without the special tokens that a template
    puts round it. A SentencePiece-style tokenizer is counted through words; any other, or one whose vocabulary
    spans words, by encoding whole documents with `tokenizers`, slower but right.

    Args:
        words_or_corpus: A frame of word counts (columns `word` and `count`), or a corpus.
        tokenizer: Any tokenizer. Word counts must have been made with the same cut.
        column: The Parquet column or JSON key that holds the text.
        threads: How many threads count; all processors when None.

    Returns:
        `id: u32, token: str, count: u64, hangul: bool`, a row for each id, by id.

    Raises:
        CorpusError: a file cannot be read, or the corpus holds no documents.
        TokenizerError: word counts were given with a tokenizer that is not SentencePiece-style.
        UsageError: the frame's columns are not of the right types, or `threads` is less than 1.
    """
    threads = _threads(threads)
    loaded = load_tokenizer(tokenizer)
    if isinstance(words_or_corpus, pl.DataFrame) and words_or_corpus.columns == ["word", "count"]:
        words = check_words(words_or_corpus)
        return _named(_bpe(loaded).count_tokens(words["word"], words["count"], threads), loaded)
    try:
        bpe = _bpe(loaded)
        if not bpe.cut[0]:
            raise TokenizerError("entries of its vocabulary span words")
    except TokenizerError as error:
        log.warning("counting whole documents, which is slower: %s", error.__cause__ or error)
        return _named(_count_documents(_Sums().watch(words_or_corpus, column), loaded), loaded)
    counter = _core.WordCounter(bpe, threads)
    for batch in _Sums().watch(words_or_corpus, column):
        counter.update(batch)
    return _named(counter.count_tokens(bpe), loaded)


def segments(words: pl.DataFrame, tokenizer: tokenizers.Tokenizer) -> _core.Segments:
    """Word counts as the engine counts them again when tokens go (`rust/segments.rs`); errors are `count_tokens`'."""
    return _core.Segments(_bpe(tokenizer), words["word"], words["count"], _threads(None))


def combine(*tables: pl.DataFrame) -> pl.DataFrame:
    """Add word counts: yesterday's and today's, or one corpus' and another's, made with the same cut.

    Raises:
        UsageError: a table's columns are not `word: str, count: u64`, or a sum passes 2^64 - 1.
    """
    together = pl.concat([check_words(table) for table in tables]) if tables else pl.DataFrame(schema=WORDS)
    # Polars sums 64 bits modulo 2^64, without a word.
    sums = together.group_by("word").agg(pl.col("count").cast(pl.Int128).sum())
    if len(over := sums.filter(pl.col("count") >= 2**64)):
        raise UsageError(f"the count of {over['word'].min()!r} passes 2^64 - 1")
    return sums.cast({"count": pl.UInt64}).sort("count", "word", descending=[True, False])


def combine_counted(parts: Sequence[Counted]) -> Counted:
    """`combine` for word counts with records: sums, and the records of the parts under `parts`.

    Raises:
        UsageError: there are no parts, or they were cut for different tokenizers.
    """
    if not parts:
        raise UsageError("there are no word counts to combine; wanted at least one")
    if len({part.record["tokenizer"] for part in parts}) > 1:
        raise UsageError("the word counts were made with different tokenizers, so their words differ; count again")
    words = combine(*(part.words for part in parts))
    record = {
        "verb": "count",
        "kovocab": version("kovocab"),
        "corpus": {"kind": "combined", "parts": [part.record["corpus"] for part in parts]},
        "documents": sum(part.record["documents"] for part in parts),
        "bytes": sum(part.record["bytes"] for part in parts),
        "words": int(words["count"].sum()),
        "distinct_words": len(words),
        "tokenizer": parts[0].record["tokenizer"],
        "cut": parts[0].record["cut"],
    }
    return Counted(words, record)


def load_counted(path: str | Path) -> Counted:
    """Read what `Counted.save` wrote.

    Raises:
        CorpusError: the file is missing, not Parquet, or not of `kovocab count`.
    """
    wanted = "wanted word counts as `kovocab count` leaves them"
    try:
        metadata = pl.read_parquet_metadata(path)
        words = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CorpusError(f"{path} cannot be read ({str(error).splitlines()[0]}); {wanted}") from error
    if _METADATA not in metadata or words.schema != WORDS:
        raise CorpusError(f"{path} holds {dict(words.schema)}; {wanted}: {dict(WORDS)} and their record")
    return Counted(words, json.loads(metadata[_METADATA]))


def check_words(words: pl.DataFrame) -> pl.DataFrame:
    """Hand back `words` if they are word counts: `word: str, count: u64`, without nulls.

    Raises:
        UsageError: they are not; says what they are, or which row is null.
    """
    if words.schema != WORDS:
        raise UsageError(f"word counts have the columns {dict(words.schema)}; wanted {dict(WORDS)}")
    if sum(words.null_count().row(0)):
        row = words.select(pl.any_horizontal(pl.all().is_null()).arg_max()).item()
        raise UsageError(f"row {row} of the word counts is null; wanted {dict(WORDS)}")
    return words


def digest(tokenizer: tokenizers.Tokenizer) -> str:
    """SHA-256, in hexadecimal, of all that decides a tokenizer's ids: the same on every machine."""
    config = json.loads(tokenizer.to_str())
    decides = [config[part] for part in ("added_tokens", "normalizer", "pre_tokenizer", "model")]
    return sha256(json.dumps(decides).encode()).hexdigest()


class _Sums:
    """Sums documents and bytes as batches pass, under a progress bar."""

    def __init__(self) -> None:
        self.documents = 0
        self.bytes = 0

    def watch(self, corpus: Corpus, column: str) -> Iterator[pl.Series]:
        with progress("count", corpus, column) as bar:
            for batch in batches(corpus, column=column, finished=bar.finished):
                yield batch
                size = int(batch.str.len_bytes().sum())
                self.documents += len(batch)
                self.bytes += size
                bar.update(size)


def _count_documents(texts: Iterator[pl.Series], tokenizer: tokenizers.Tokenizer) -> pl.DataFrame:
    size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    total = pl.Series("count", [0], dtype=pl.UInt64).new_from_index(0, size)
    # An encoding takes some hundred bytes a token: a few documents at a time.
    for batch in (whole[at : at + 2_000] for whole in texts for at in range(0, len(whole), 2_000)):
        encodings = tokenizer.encode_batch_fast(batch.to_list(), add_special_tokens=False)
        ids = pl.Series("id", [token for encoding in encodings for token in encoding.ids], dtype=pl.UInt32)
        found = ids.value_counts()
        total = total.scatter(found["id"], total.gather(found["id"]) + found["count"].cast(pl.UInt64))
    return pl.DataFrame({"id": pl.arange(size, eager=True, dtype=pl.UInt32), "count": total})


def _named(counts: Any, tokenizer: tokenizers.Tokenizer) -> pl.DataFrame:
    names = {i: token for token, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    table = pl.DataFrame(counts)
    tokens = pl.Series("token", [names.get(i) for i in range(len(table))], dtype=pl.String)
    return table.select("id", tokens, "count").with_columns(
        hangul=pl.col("token").str.contains(f"[{hangul.HANGUL}]").fill_null(False)
    )


def _bpe(tokenizer: tokenizers.Tokenizer) -> _core.Bpe:
    try:
        if tokenizer.encode_special_tokens:
            raise _core.UnreadableTokenizer("special tokens are encoded as text")  # a switch that its JSON lacks
        return _core.Bpe(tokenizer.to_str())
    except _core.UnreadableTokenizer as error:
        raise TokenizerError(
            f"words are cut for SentencePiece-style tokenizers only, and of this one {error}; "
            "count_tokens on a corpus takes any tokenizer"
        ) from error


def _threads(threads: int | None) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= _MOST_THREADS:
        raise UsageError(f"threads is {threads}; wanted 1 to {_MOST_THREADS:,}")
    return threads
