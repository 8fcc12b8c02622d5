"""Evaluate: tokenizers side by side on one text."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from kovocab.corpus.settings import Encoding, Normalize, Reading, Template
from kovocab.errors import UsageError
from kovocab.evaluating.fertility import Fertility, fertility, text_reference
from kovocab.reading.documents import Corpus, batches
from kovocab.tokenizer.tokenizer import Source

_COLUMNS = pl.Schema(
    {
        "documents": pl.UInt64,
        "words": pl.UInt64,
        "bytes": pl.UInt64,
        "tokens": pl.UInt64,
        "tokens_per_word": pl.Float64,
        "bytes_per_token": pl.Float64,
        "one_token": pl.Float64,
        "two_tokens": pl.Float64,
    }
)


def evaluate(
    corpus: Corpus,
    tokenizers: Source | Sequence[Source],
    *,
    column: str = "text",
    encoding: Encoding = "utf-8",
    normalize: Normalize = None,
    deduplicate: bool = False,
    template: Template = None,
) -> pl.DataFrame:
    """Measure tokenizers on held-out text.

    Args:
        corpus: What `kovocab.reading.documents.Corpus` lists; read once for each tokenizer, so no iterator.
        tokenizers: Each as `load_tokenizer` takes it.
        column: The Parquet column or JSON key that holds the text.
        encoding: Of text files, utf-8, cp949 or utf-16.
        normalize: "nfc" brings documents into NFC first.
        deduplicate: Whether a document that stood in the corpus before is left out.
        template: What a row becomes a document by, in place of a column: "{en} = {ko}", or several, of which each row
            has one, see `docs/data.md`.

    Returns:
        `tokenizer: str, documents: u64, words: u64, bytes: u64, tokens: u64, tokens_per_word: f64, bytes_per_token:
        f64, one_token: f64, two_tokens: f64`, a row a tokenizer, in their order; the last two are the shares of words
        that take one token, and at most two. A word is a run of characters that are not white space; a ratio is
        null where there is nothing to divide by. The text of a special token is text as any other. `tokenizer` is
        the path, or the type of what is none.

    Raises:
        CorpusError: a file cannot be read, or the corpus holds no documents.
        TokenizerError: a tokenizer cannot be read.
        UsageError: there are no tokenizers, or the corpus can be read only once and there are several.
    """
    sources = [tokenizers] if isinstance(tokenizers, str) or not isinstance(tokenizers, Sequence) else tokenizers
    reading = Reading(column, encoding, normalize, deduplicate, template)
    if not sources:
        raise UsageError("tokenizers is empty; wanted at least one")
    if len(sources) > 1 and isinstance(corpus, Iterator):
        raise UsageError("the corpus is an iterator, which can be read once; wanted a series for several tokenizers")
    references = [text_reference(source) for source in sources]
    rows: list[Fertility] = [fertility(batches(corpus, reading), reference) for reference in references]
    names = [str(source) if isinstance(source, str | Path) else type(source).__name__ for source in sources]
    return pl.DataFrame(rows, schema=_COLUMNS).insert_column(0, pl.Series("tokenizer", names, dtype=pl.String))
