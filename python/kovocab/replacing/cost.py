"""What texts pay for tokens that go: exact, by their word counts, encoded again where a token goes."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from kovocab.counting.tables import Tables, WordCounts, apart, tables
from kovocab.counting.token_counts import count_ids, segments
from kovocab.replacing.order import Making
from kovocab.tokenizer.script import Script
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson


@dataclass(frozen=True)
class Text:
    """Word counts, and what they are called.

    Attributes:
        name: What to call them.
        counted: The words, cut for the base.
        bound: The share of tokens that the words without the script may grow by; None: they may by any.
    """

    name: str
    counted: WordCounts
    bound: float | None = None

    @property
    def words(self) -> Tables:
        """All of them."""
        return tables(self.counted)

    def without(self, script: Script) -> Tables:
        """The words without the script."""
        return self.words.parted(pl.col("word").str.contains(f"[{script.characters}]"))[1]

    def tokens_per_word(self, tokens: int) -> float | None:
        """Of so many tokens; None where it is not known how many words stood between white space."""
        words = self.counted.record.get("words_between_space")
        return tokens / words if words else None


class Cost:
    """A text as a vocabulary gives it that shrinks.

    Of a text with a bound the words without the script alone are looked at: in the others new tokens stand too, and
    what they save would hide what the old ones cost.

    Args:
        text: The text.
        target: The base with its new tokens appended.
        making: How it makes them.
        script: Of the new tokens.

    Attributes:
        text: The text.
        words: Of the text, those that are looked at.
        whole: Tokens that no merge makes and that words are, of a tokenizer that takes such words whole.
        before: Tokens of the words when nothing was gone.
    """

    def __init__(self, text: Text, target: TokenizerJson, making: Making, script: Script) -> None:
        self.text = text
        self.words = text.words if text.bound is None else text.without(script)
        special = pl.Series([token.word for token in target.added_tokens], dtype=pl.String)
        aside, merged = self.words.parted(pl.col("word").is_in(special.implode()))
        merged, whole = _taken_whole(merged, target, making)
        self.whole = frozenset(whole["id"].to_list())
        self._segments = segments(merged, target)
        self._rest = int(count_ids(aside, target)["count"].sum()) + int(whole["count"].sum())
        self.before = self.tokens

    @property
    def tokens(self) -> int:
        """All tokens of the text now."""
        return int(self.counts().sum()) + self._rest

    def counts(self) -> pl.Series:
        """How often each id is emitted now: u64."""
        counts: pl.Series = pl.DataFrame(self._segments.count_tokens())["count"]
        return counts

    def without(self, tokens: Sequence[int]) -> "Cost":
        """The text when these are gone too; this one is as it was."""
        other = object.__new__(Cost)
        other.__dict__ |= self.__dict__ | {"_segments": self._segments.copy()}
        other.drop(tokens)
        return other

    def drop(self, tokens: Sequence[int]) -> None:
        """Let tokens go that nothing else is made of."""
        self._segments.change(pl.Series(tokens, dtype=pl.UInt32), pl.Series([], dtype=pl.UInt32))

    @property
    def loss(self) -> float:
        """The share of tokens that it has grown by."""
        return (self.tokens - self.before) / max(self.before, 1)

    @property
    def within(self) -> bool:
        """Whether it keeps its bound."""
        return self.text.bound is None or self.loss <= self.text.bound


def _taken_whole(words: Tables, tokenizer: TokenizerJson, making: Making) -> tuple[Tables, pl.DataFrame]:
    """All words but those that are a token which no merge makes, and are taken whole; and these."""
    takes = isinstance(tokenizer.model, BpeModel) and tokenizer.model.ignore_merges
    ids = sorted(making.unreachable) if takes else []
    return apart(words, {tokenizer.text_of[i]: i for i in ids})
