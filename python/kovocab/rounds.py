"""A round of refine: what the counts of a target decide. Pure: it counts nothing and builds nothing."""

from dataclasses import dataclass

from kovocab.errors import UsageError
from kovocab.settings import RefineSettings
from kovocab.vocabulary import Vocabulary


@dataclass(frozen=True)
class Round:
    """One turn: what was built and counted, and what that decided.

    Attributes:
        size: New tokens in the target that was counted.
        unreachable: Tokens that could not be built because a part was dropped before; they are gone.
        dropped: Tokens dropped for their count.
        added: Single characters added.
        tokens_per_word: Tokens per word with Hangul (an optional space and a run of Hangul), by the target.
        bytes_per_token: UTF-8 bytes of these words per token.
    """

    round: int
    size: int
    unreachable: int
    dropped: int
    added: int
    tokens_per_word: float
    bytes_per_token: float

    def __str__(self) -> str:
        """The round as a line."""
        return (
            f"round {self.round}: {self.size:,} new tokens, {self.unreachable:,} unreachable, "
            f"{self.dropped:,} dropped, {self.added:,} added, "
            f"{self.tokens_per_word:.3f} tokens per word, {self.bytes_per_token:.3f} bytes per token"
        )


@dataclass(frozen=True)
class State:
    """What a round hands to the next: the vocabulary, and the characters that may not be added again."""

    vocabulary: Vocabulary
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TokenCounts:
    """What the target of a round emits: by token, and for all words with Hangul together."""

    by_token: dict[str, int]
    tokens_per_word: float
    bytes_per_token: float


def turn(
    state: State,
    counts: TokenCounts,
    characters: dict[str, int],
    settings: RefineSettings,
    keep: frozenset[str],
    number: int,
) -> tuple[State, Round]:
    """One round: what the counts of the target of `state` decide. Pure.

    A multi-character token that was dropped never comes back. A character may, once: dropped while longer tokens
    covered it, it is added when they are gone and it is seen often enough. So there is an end.
    """
    vocabulary = state.vocabulary.reachable()
    new, seen = vocabulary.new, counts.by_token
    least = {1: min(settings.min_count, settings.min_syllable_count)}
    rare = {token for token in new if seen[token] < least.get(len(token), settings.min_count)}
    if settings.prune == "leaf":
        rare &= vocabulary.leaves()
    rare -= vocabulary.with_stems(keep)
    there = vocabulary.base | vocabulary.parts.keys() | state.barred
    missing = {c for c, times in characters.items() if times >= settings.min_syllable_count and c not in there}
    unreachable = len(state.vocabulary.parts) - len(vocabulary.parts)
    barred = state.barred | missing
    if not (unreachable or rare or missing) and settings.max_new_tokens is not None:
        rare = _rarest_leaves(vocabulary, seen, len(new) - settings.max_new_tokens, keep)
        barred |= rare
    row = Round(
        round=number,
        size=len(new),
        unreachable=unreachable,
        dropped=len(rare),
        added=len(missing),
        tokens_per_word=counts.tokens_per_word,
        bytes_per_token=counts.bytes_per_token,
    )
    return State(vocabulary.without(rare).with_characters(missing), barred), row


def _rarest_leaves(vocabulary: Vocabulary, seen: dict[str, int], excess: int, keep: frozenset[str]) -> set[str]:
    """The `excess` rarest tokens, each a leaf when the rarer ones are gone, so that what stays is closed."""
    gone: set[str] = set()
    # A token of the base stays whatever its count, and with it the new tokens that its new merge needs.
    kept = vocabulary.with_stems({*keep, *vocabulary.base & vocabulary.parts.keys()})
    held = kept & set(vocabulary.new)
    if len(vocabulary.new) - len(held) < excess:
        raise UsageError(
            f"max_new_tokens leaves no room for the {len(held)} tokens that decisions keep or the base's are made of"
        )
    while len(gone) < excess:
        leaves = vocabulary.without(gone).leaves() - kept
        # One generation of leaves at a time, the rarest half of what is still to go, and look again.
        batch = sorted(leaves, key=lambda token: (seen[token], token))[: max(1, (excess - len(gone) + 1) // 2)]
        gone.update(batch)
    return gone
