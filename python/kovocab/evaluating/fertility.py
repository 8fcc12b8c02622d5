"""Fertility: how many tokens a tokenizer needs for a word, counted on documents with the tokenizer itself."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import polars as pl

    from kovocab.tokenizer.reference import Reference
    from kovocab.tokenizer.tokenizer import Source

# Encodings take some hundred bytes a token; this many documents at a time keep memory small.
_BATCH = 1_000


class Fertility(TypedDict):
    """What `fertility` measures; a ratio is None where there is nothing to divide by."""

    documents: int
    words: int
    """Runs of characters that are not whitespace."""
    bytes: int
    """UTF-8."""
    tokens: int
    """Special tokens that the tokenizer puts round a text are not counted."""
    tokens_per_word: float | None
    bytes_per_token: float | None


def fertility(texts: "pl.Series | Iterable[pl.Series]", tokenizer: "Source | Reference") -> Fertility:
    """Measure the fertility of `tokenizer` on `texts`.

    Args:
        texts: One document a row, in one series or in batches, which are read one after the other. Nulls are
            no documents.
        tokenizer: Any tokenizer.

    Returns:
        Counts of documents, words, bytes and tokens, tokens per word and bytes per token.
    """
    import polars as pl

    from kovocab.tokenizer.reference import Reference
    from kovocab.tokenizer.tokenizer import load_tokenizer

    reference = tokenizer if isinstance(tokenizer, Reference) else Reference(load_tokenizer(tokenizer))
    documents = words = size = tokens = 0
    for series in [texts] if isinstance(texts, pl.Series) else texts:
        kept = series.drop_nulls()
        documents += len(kept)
        words += int(kept.str.count_matches(r"\S+").sum())
        size += int(kept.str.len_bytes().sum())
        for batch in kept.to_frame().iter_slices(_BATCH):
            tokens += sum(map(len, reference.encode(batch.to_series().to_list())))
    return Fertility(
        documents=documents,
        words=words,
        bytes=size,
        tokens=tokens,
        tokens_per_word=tokens / words if words else None,
        bytes_per_token=size / tokens if tokens else None,
    )
