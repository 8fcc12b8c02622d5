"""A round of refine: what the counts of a target decide. Pure: it counts nothing and builds nothing."""

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from kovocab.errors import UsageError, quantity
from kovocab.refining.candidates import Rows, Vocabulary
from kovocab.refining.settings import RefineSettings


@dataclass(frozen=True)
class Round:
    """One turn: what was built and counted, and what that decided.

    Attributes:
        size: New tokens in the target that was counted, scaffolds among them.
        unreachable: Tokens that could not be built because a part was dropped before; they are gone.
        dropped: Tokens dropped for their count.
        added: Single characters added.
        tokens: All tokens of the text, by the target.
        tokens_per_word: Of these, for each word between white space, as `fertility` measures it; None where it is
            not known how many words there are.
        bytes_per_token: UTF-8 bytes of the text for each token; None where it is not known how many there are.
    """

    round: int
    size: int
    unreachable: int
    dropped: int
    added: int
    tokens: int
    tokens_per_word: float | None
    bytes_per_token: float | None

    def __str__(self) -> str:
        """The round as a line."""
        return (
            f"round {self.round}: {quantity(self.size, 'new token')}, {self.unreachable:,} unreachable, "
            f"{self.dropped:,} dropped, {self.added:,} added, "
            f"{ratio(self.tokens_per_word)} tokens per word, {ratio(self.bytes_per_token)} bytes per token"
        )


def ratio(value: float | None) -> str:
    """A ratio as people are shown it; `-` where it is not known."""
    return "-" if value is None else f"{value:.3f}"


@dataclass(frozen=True, eq=False)
class State:
    """What a round hands to the next: the vocabulary, and the characters that may not be added again."""

    vocabulary: Vocabulary
    barred: Rows

    @cached_property
    def target(self) -> Vocabulary:
        """What of the vocabulary can be built: the target of the round."""
        return self.vocabulary.reachable()

    def equals(self, other: "State") -> bool:
        """Whether both are the same."""
        return self.vocabulary.there.equals(other.vocabulary.there) and self.barred.equals(other.barred)


@dataclass(frozen=True)
class Text:
    """How much text was counted, where that is known.

    Attributes:
        words: Between white space.
        bytes: UTF-8.
    """

    words: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, eq=False)
class TokenCounts:
    """What a tokenizer emits: of each row of the vocabulary's table, and all in all, for how much text."""

    by_row: pl.Series
    tokens: int
    text: Text

    @property
    def tokens_per_word(self) -> float | None:
        """As `fertility` has it."""
        return self.tokens / self.text.words if self.text.words else None

    @property
    def bytes_per_token(self) -> float | None:
        """As `fertility` has it."""
        return None if self.text.bytes is None else self.text.bytes / self.tokens


def turn(
    state: State,
    counts: TokenCounts,
    characters: pl.Series,
    settings: RefineSettings,
    keep: Rows,
    number: int,
) -> tuple[State, Round]:
    """One round: what the counts of the target of `state` decide. Pure.

    A multi-character token that was dropped never comes back. A character may, once: dropped while longer tokens
    covered it, it is added when they are gone and it is seen often enough. So there is an end.

    Args:
        state: The vocabulary that the round starts with.
        counts: What its target emits.
        characters: How often each row of the table that is a character is seen.
        settings: Thresholds and sizes.
        keep: Tokens that are not dropped whatever their count.
        number: The round's.
    """
    vocabulary, seen = state.target, counts.by_row
    new, character = vocabulary.new, vocabulary.table["character"]
    least = min(settings.min_count, settings.min_syllable_count)
    rare = new & ((seen < settings.min_count) & ~character | (seen < least))
    if settings.prune == "leaf":
        rare &= vocabulary.leaves()
    rare &= ~vocabulary.with_stems(keep)
    missing = character & ~vocabulary.there & ~state.barred & (characters >= settings.min_syllable_count)
    unreachable = int((state.vocabulary.there & ~vocabulary.there).sum())
    barred = state.barred | missing
    if not (unreachable or rare.any() or missing.any()) and settings.max_new_tokens is not None:
        rare = rarest_leaves(vocabulary, seen, settings.max_new_tokens, keep)
        barred |= rare
    row = Round(
        round=number,
        size=vocabulary.size,
        unreachable=unreachable,
        dropped=int(rare.sum()),
        added=int(missing.sum()),
        tokens=counts.tokens,
        tokens_per_word=counts.tokens_per_word,
        bytes_per_token=counts.bytes_per_token,
    )
    return State(vocabulary.without(rare).plus(missing), barred), row


def rarest_leaves(vocabulary: Vocabulary, seen: pl.Series, most: int, keep: Rows) -> Rows:
    """The rarest tokens, each a leaf when the rarer ones are gone, so that what stays is closed and `most` at most."""
    # A token of the base stays whatever its count, and with it the new tokens that its new merge needs.
    kept = vocabulary.with_stems(keep | vocabulary.table["base"])
    if (held := vocabulary.without(~kept).size) > most:
        stems = quantity(held, "token")
        scaffolds = ", scaffolds among them," if vocabulary.without(~kept).scaffolds else ""
        raise UsageError(
            f"max_new_tokens leaves no room for the {stems}{scaffolds} that decisions keep or the base's are made of"
        )
    by_count = pl.DataFrame({"token": vocabulary.table["token"], "count": seen}).with_row_index("row")
    gone = vocabulary.rows([])
    # With its last token a scaffold goes, so the number is looked at anew each time.
    while (more := vocabulary.without(gone).size - most) > 0:
        leaves = by_count.filter(vocabulary.without(gone).leaves() & ~kept)
        # One generation of leaves at a time, the rarest half of what is still to go, and look again.
        gone = gone.scatter(leaves.sort("count", "token").head((more + 1) // 2)["row"], True)
    return gone
