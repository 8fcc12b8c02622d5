"""Token counts: how often a tokenizer emits each of its tokens, from word counts or from a corpus, exactly."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from kovocab import _core
from kovocab.artefact import check_table, mark, new_file
from kovocab.corpus.settings import Encoding, Normalize, Reading, Template
from kovocab.counting.one_pass import Pass, run
from kovocab.counting.tally import Bounded, no_overflow
from kovocab.counting.word_counts import check_words, made_from_of, read_counted, tables_of
from kovocab.errors import TokenizerError
from kovocab.machine.memory import bound, used
from kovocab.machine.threads import threads_of
from kovocab.ownership import parquet_of
from kovocab.reading.documents import Corpus
from kovocab.record import Record
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import Source, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)

_TOKENS = "count tokens"
_FRAGMENTS = 256 << 20  # bytes of words' fragments, from which they are encoded and forgotten
TOKENS_FILE = (parquet_of(_TOKENS), "file of token counts")
"""What a file of token counts is known by, and called: for `check_file`."""


def count_tokens(
    words_or_corpus: pl.DataFrame | Corpus,
    tokenizer: Source,
    *,
    column: str = "text",
    encoding: Encoding = "utf-8",
    normalize: Normalize = None,
    deduplicate: bool = False,
    template: Template = None,
    threads: int | None = None,
    memory: str | int | None = None,
) -> pl.DataFrame:
    """Count how often each token of `tokenizer` is emitted, special tokens in the text included.

    The counts are those of the tokenizer itself on every document, without the special tokens that a template
    puts round it. A SentencePiece-style or byte-level tokenizer is counted through words; any other, or one whose
    vocabulary spans words or whose split pattern the engine does not read, by encoding whole documents with
    `tokenizers`, slower but right.

    Args:
        words_or_corpus: A frame of word counts (columns `word` and `count`), or a corpus.
        tokenizer: Any tokenizer. Word counts must have been made with the same cut.
        column: The Parquet column or JSON key that holds the text.
        encoding: Of text files, utf-8, cp949 or utf-16.
        normalize: "nfc" brings documents into NFC; they are read as they stand when None.
        deduplicate: Whether a document that stood in the corpus before is left out.
        template: What a row becomes a document by, in place of a column: "{en} = {ko}", or several, of which each row
            has one, see `docs/data.md`.
        threads: How many threads count; all processors when None.
        memory: As for `count`; nothing is spilled, since words that were encoded can be forgotten.

    Returns:
        `id: u32, token: str, count: u64, hangul: bool`, a row for each id, by id.

    Raises:
        CorpusError: a file cannot be read, or the corpus holds no documents.
        TokenizerError: word counts were given with a tokenizer that words are not cut for, see `count`.
        UsageError: the frame's columns are not of the right types, or `threads` is less than 1.
    """
    threads = threads_of(threads)
    loaded = load_tokenizer(tokenizer)
    if isinstance(words_or_corpus, pl.DataFrame) and words_or_corpus.columns == ["word", "count"]:
        return named(count_ids([check_words(words_or_corpus)], loaded, threads), loaded)
    passing = Pass(words_or_corpus, Reading(column, encoding, normalize, deduplicate, template), threads)
    passing.limit(bound(memory) // 2)
    try:
        bpe = bpe_of(loaded)
        if not bpe.cut[0]:
            raise TokenizerError("entries of its vocabulary span words")
    except TokenizerError as error:
        log.warning("counting whole documents, which is slower: %s", error.__cause__ or error)
        with passing.told(dict):
            return named(_count_documents(passing.batches(), loaded), loaded)
    tally = TokenTally(bpe, threads, bound(memory))
    with passing.told(tally.state):
        run(passing, tally, bpe)
    return named(tally.counts(), loaded)


def count_ids(words: Iterable[pl.DataFrame], tokenizer: TokenizerJson, threads: int | None = None) -> pl.DataFrame:
    """`count_tokens` of tables of word counts, without names: `id: u32, count: u64`, a row for each id, by id."""
    bpe, counter = bpe_of(tokenizer), _core.TokenCounter(threads_of(threads))
    with no_overflow():
        for table in words:
            counter.add(bpe, table["word"], table["count"])
            if counter.size()[1] > _FRAGMENTS:
                counter.spill(bpe)
        return pl.DataFrame(counter.counts(bpe))


def count_tokens_of(path: str | Path, tokenizer: Source, *, threads: int | None = None) -> pl.DataFrame:
    """`count_tokens` of a file of word counts that need not fit the memory."""
    loaded = load_tokenizer(tokenizer)
    return named(count_ids(tables_of(path), loaded, threads), loaded)


def count_tokens_to(
    out: str | Path, words: str | Path, tokenizer: Source, *, threads: int | None = None, overwrite: bool = False
) -> None:
    """Write `count_tokens_of` as the Parquet file `out`.

    Raises:
        ArtefactError: `out` cannot be written, or is there and is something else, or, without `overwrite`, of other
            words or another tokenizer.
        KovocabError: as `count_tokens_of`.
    """
    record = read_counted(words)
    made_from = made_from_of(record["corpus"], load_tokenizer(tokenizer).digest)
    check_table(out, _TOKENS, TOKENS_FILE[1], made_from, overwrite=overwrite)
    table = count_tokens_of(words, tokenizer, threads=threads)
    with new_file(out) as beside:
        table.write_parquet(beside, metadata=mark(_TOKENS, made_from))


def check_tokens(out: str | Path, corpus: Record, tokenizer: str) -> None:
    """Check, before words are counted, that a file of token counts which is there is of the same.

    Args:
        out: The file that is to be written.
        corpus: What the words' record will say of the corpus.
        tokenizer: The tokenizer's digest.

    Raises:
        ArtefactError: it is of another; says what differs.
    """
    check_table(out, _TOKENS, TOKENS_FILE[1], made_from_of(corpus, tokenizer), overwrite=False)


def named(table: pl.DataFrame, tokenizer: TokenizerJson) -> pl.DataFrame:
    """Say of each row which token it is, and whether it holds Hangul: what `count_tokens` gives of `id`, `count`."""
    rows = range(len(table))
    tokens = pl.Series("token", list(map(tokenizer.tokens.get, rows)), dtype=pl.String)
    text = pl.Series("hangul", list(map(tokenizer.text_of.get, rows)), dtype=pl.String)
    return table.select("id", tokens, "count", text.str.contains(f"[{HANGUL.characters}]").fill_null(False))


def segments(words: Iterable[pl.DataFrame], tokenizer: TokenizerJson, characters: str = "") -> _core.Segments:
    """Tables of word counts as the engine counts them again when tokens go (`rust/bpe/segments.rs`).

    `characters` are all that the words may hold, as the tokenizer writes them, if it is known.
    """
    segmenter = _core.Segmenter(bpe_of(tokenizer), characters, threads_of(None))
    for table in words:
        segmenter.feed(table["word"], table["count"])
    return segmenter.segments()


class TokenTally(Bounded[_core.TokenCounter]):
    """Counts tokens: what is held is encoded where it passes the bound, and forgotten."""

    def __init__(self, bpe: _core.Bpe, threads: int, bound: int) -> None:
        super().__init__(_core.TokenCounter(threads), bound)
        self._bpe = bpe

    def state(self) -> dict[str, int]:
        """Bytes of memory that the process uses."""
        return {"memory": used()}

    def spill(self) -> None:
        """Encode what is held and forget it."""
        self._counter.spill(self._bpe)

    def counts(self) -> pl.DataFrame:
        """How often each token was emitted: `id: u32, count: u64`, a row for each id, by id."""
        return pl.DataFrame(self._counter.counts(self._bpe))


def _count_documents(texts: Iterator[pl.Series], tokenizer: TokenizerJson) -> pl.DataFrame:
    from kovocab.tokenizer.reference import Reference

    reference, size = Reference(tokenizer), tokenizer.size
    total = pl.Series("count", [0], dtype=pl.UInt64).new_from_index(0, size)
    # An encoding takes some hundred bytes a token: a few documents at a time.
    for batch in (whole[at : at + 2_000] for whole in texts for at in range(0, len(whole), 2_000)):
        ids = pl.Series("id", [i for ids in reference.encode(batch.to_list()) for i in ids], dtype=pl.UInt32)
        found = ids.value_counts()
        total = total.scatter(found["id"], total.gather(found["id"]) + found["count"].cast(pl.UInt64))
    return pl.DataFrame({"id": pl.arange(size, eager=True, dtype=pl.UInt32), "count": total})
