"""Fertility: how many tokens a tokenizer needs for a word, counted on documents with the tokenizer itself."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from kovocab.tokenizer.script import WORD

if TYPE_CHECKING:
    import polars as pl

    from kovocab.tokenizer.reference import Reference
    from kovocab.tokenizer.tokenizer import Source

# Encodings take some hundred bytes a token; this many documents at a time keep memory small.
_BATCH = 1_000

_WORD = re.compile(f" ?{WORD}")
"""A word, and the space before it."""


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
    one_token: float | None
    """The share of words that take one token: that have a character of the word, or of the space before it.

    None too where `tokenizers` does not say of which characters a token is, as its version 1.0.
    """
    two_tokens: float | None
    """That of words which take at most two."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """What a tokenizer makes of a document.

    Attributes:
        ids: Its tokens, without what the tokenizer puts round a text.
        words: How many words it has.
        bytes: UTF-8.
        one: How many of the words take one token; None where that is not known.
        two: How many take at most two.
    """

    ids: list[int]
    words: int
    bytes: int
    one: int | None
    two: int | None


def spelled(texts: Sequence[str], reference: "Reference") -> Iterator[Spelled]:
    """What a tokenizer makes of each text."""
    for start in range(0, len(texts), _BATCH):
        part = texts[start : start + _BATCH]
        for text, (ids, spans) in zip(part, reference.spans(part), strict=True):
            words = [found.span() for found in _WORD.finditer(text)]
            taken = None if spans is None else _taken(words, spans)
            one, two = (None if taken is None else sum(tokens <= most for tokens in taken) for most in (1, 2))
            yield Spelled(ids, len(words), len(text.encode()), one, two)


def fertility(texts: "pl.Series | Iterable[pl.Series]", tokenizer: "Source | Reference") -> Fertility:
    """Measure the fertility of `tokenizer` on `texts`.

    Args:
        texts: One document a row, in one series or in batches, which are read one after the other. Nulls are
            no documents.
        tokenizer: Any tokenizer.

    Returns:
        Counts of documents, words, bytes and tokens, tokens per word and bytes per token, and the shares of words in
        one token, and in at most two.
    """
    import polars as pl

    from kovocab.tokenizer.reference import Reference
    from kovocab.tokenizer.tokenizer import load_tokenizer

    reference = tokenizer if isinstance(tokenizer, Reference) else Reference(load_tokenizer(tokenizer))
    found = (
        document
        for series in ([texts] if isinstance(texts, pl.Series) else texts)
        for document in spelled(series.drop_nulls().to_list(), reference)
    )
    return summed(found)


def summed(documents: Iterable[Spelled]) -> Fertility:
    """What documents come to together."""
    count = words = size = tokens = 0
    one: int | None = 0
    two: int | None = 0
    for document in documents:
        count += 1
        words += document.words
        size += document.bytes
        tokens += len(document.ids)
        one = None if one is None or document.one is None else one + document.one
        two = None if two is None or document.two is None else two + document.two
    return Fertility(
        documents=count,
        words=words,
        bytes=size,
        tokens=tokens,
        tokens_per_word=ratio(tokens, words),
        bytes_per_token=ratio(size, tokens),
        one_token=None if one is None else ratio(one, words),
        two_tokens=None if two is None else ratio(two, words),
    )


def ratio(part: float, whole: float) -> float | None:
    """A quotient, or None where there is nothing to divide by."""
    return part / whole if whole else None


def text_reference(tokenizer: "Source") -> "Reference":
    """A tokenizer to which the text of a special token is text as any other, as packing has it."""
    from kovocab.tokenizer.reference import Reference
    from kovocab.tokenizer.tokenizer import load_tokenizer

    return Reference(replace(load_tokenizer(tokenizer), encode_special_tokens=True))


def _taken(words: list[tuple[int, int]], spans: list[tuple[int, int]]) -> list[int]:
    """How many tokens each word takes; both in the order of the text."""
    taken = [0] * len(words)
    first = 0
    for start, stop in spans:
        while first < len(words) and words[first][1] <= start:
            first += 1
        at = first
        while at < len(words) and words[at][0] < stop:
            taken[at] += 1
            at += 1
    return taken
