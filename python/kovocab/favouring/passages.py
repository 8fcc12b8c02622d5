"""The passages of a source's training part and the new tokens in them, read from its token files a stretch at a time.

A passage is a document, or one of the parts of so many tokens that a longer one is cut into.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kovocab.errors import UsageError
from kovocab.packing.packed import PackedSource

AT_ONCE = 1 << 22
"""Tokens looked at in one go: some 100 MB. More where one document has more."""

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Stretch:
    """The passages of some documents in a row.

    Attributes:
        rows: Which they are among all passages.
        document: Which of the stretch's documents each is of, from 0, int64.
        begins: The first token of each among all tokens, int64.
        lengths: How many tokens each has, at least one, int64.
        tokens: Those of all of them.
    """

    rows: slice
    document: Numbers
    begins: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    tokens: Numbers

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first token of each passage among `tokens`."""
        starts: npt.NDArray[np.int64] = self.begins - self.begins[0]
        return starts


class Passages:
    """The training part of a source, as what it holds of new tokens.

    Memory is bounded by `AT_ONCE`, but for what is kept of each passage: some bytes.

    Args:
        packed: The token files.
        size: How many tokens the tokenizer has.
        length: The most tokens of a passage; None: documents are whole.

    Raises:
        UsageError: it is not known where new tokens begin.
    """

    def __init__(self, packed: PackedSource, size: int, length: int | None = None) -> None:
        first = packed.record["first_new_id"]
        if first is None:
            raise UsageError(
                f"{packed.folder} was packed by a tokenizer without kovocab's record: it is not known which tokens "
                "are new; wanted what `refine` or `expand` left"
            )
        self.packed, self.first, self.new = packed, int(first), size - int(first)
        self._tokens, self._ends = np.asarray(packed.tokens("train")), np.asarray(packed.ends("train"))
        self._length = length or len(self._tokens)
        self.tokens = len(self._tokens)
        self.count = sum(len(stretch.lengths) for stretch in self.stretches())

    def stretches(self) -> Iterator[Stretch]:
        """All passages, in order; none goes over the end of a stretch."""
        first = begin = row = 0
        while first < len(self._ends):
            # Of the ends' own type: with another one, numpy would first make a copy of all of them.
            last = max(first + 1, int(np.searchsorted(self._ends, np.uint64(begin + AT_ONCE), side="right")))
            ends = self._ends[first:last].astype(np.int64)
            sizes = np.diff(ends, prepend=begin)
            parts = -(-sizes // self._length)  # of a text that a normalizer leaves nothing of there is none
            document = np.repeat(np.arange(len(ends)), parts)
            number = np.arange(len(document)) - np.repeat(np.cumsum(parts) - parts, parts)
            begins = (ends - sizes)[document] + number * self._length
            lengths = np.minimum(begins + self._length, ends[document]) - begins
            if len(begins):
                yield Stretch(slice(row, row + len(begins)), document, begins, lengths, self._tokens[begin : ends[-1]])
            first, begin, row = last, int(ends[-1]), row + len(begins)

    def counts(self, times: Numbers | None = None) -> npt.NDArray[np.int64]:
        """How often each new token is there, int64 [new]; with `times` [passages], each that many times."""
        found = np.zeros(self.new, dtype=np.int64)
        for stretch in self.stretches():
            if times is None:
                found += np.bincount(stretch.tokens, minlength=self.first + self.new)[self.first :]
                continue
            new = stretch.tokens >= self.first
            weights = np.repeat(times[stretch.rows], stretch.lengths)[new]
            found += np.bincount(stretch.tokens[new] - self.first, weights=weights, minlength=self.new).astype(np.int64)
        return found

    def deciding(self, order: Numbers) -> Numbers:
        """Of each passage, the place in `order` (new tokens) of the first that is in it; `new` if none is."""
        place = np.full(self.first + self.new, self.new, dtype=np.min_scalar_type(self.new))
        place[self.first + order] = np.arange(self.new)
        found = np.empty(self.count, dtype=place.dtype)
        for stretch in self.stretches():
            found[stretch.rows] = np.minimum.reduceat(place[stretch.tokens], stretch.starts)
        return found

    def tokens_by(self, deciding: Numbers) -> npt.NDArray[np.int64]:
        """How many tokens are in the passages of each place that `deciding` gave, int64 [new + 1]."""
        found = np.zeros(self.new + 1)
        for stretch in self.stretches():
            found += np.bincount(deciding[stretch.rows], weights=stretch.lengths, minlength=self.new + 1)
        return found.astype(np.int64)

    def read(self, times: Numbers) -> int:
        """How many tokens are read in all."""
        return sum(int(times[stretch.rows] @ stretch.lengths) for stretch in self.stretches())
