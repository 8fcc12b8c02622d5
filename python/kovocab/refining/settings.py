"""Settings of refine: numbers and words only, so that `--help` need not load what uses them."""

from dataclasses import dataclass
from typing import Literal

from kovocab.errors import UsageError, whole
from kovocab.tokenizer.script import script_names

Why = Literal["dropped by decision", "below min_count", "a part of it went", "beyond max_new_tokens"]
"""Why a candidate is not in the vocabulary; a single character has `min_syllable_count`, where that is lower."""

CARDS = 6000
"""The thresholds of the model cards, for 100 GB of text."""


def suited_min_count(size: int) -> int:
    """A threshold that suits so many bytes of text: one for each 100 kB, from 10 to the cards'."""
    return min(CARDS, max(10, size // 100_000))


@dataclass(frozen=True)
class RefineSettings:
    """What refine goes by; the defaults are the model cards', but for `prune`.

    Attributes:
        min_count: A new token that the target tokenizer emits less often than this is dropped; a single character
            below `min_syllable_count`, where that is lower. The cards' 6,000 are for 100 GB of text; one for each
            100 kB suits less.
        min_syllable_count: A missing single character seen at least this often is added: of Hangul a syllable or jamo,
            of a script that has no syllables in Unicode each character as it is.
        intermediate_vocab_size: Tokens of the intermediate tokenizer, from which candidates come.
        max_new_tokens: Keep at most this many new tokens, the most frequent, closed under parts; 8,960 in the
            cards.
        prune: `leaf`: only tokens that no kept token is made of may go; keeps the most frequent words, at the price
            of some stems below `min_count`. `threshold`: the cards' rule, word for word: every token below
            `min_count` goes, even one that others are made of, and these then go too.
        script: The script of new tokens, by the name that Unicode has for it, or a list of several.
        candidates: `intermediate`, the cards' way: those tokens of an intermediate tokenizer, trained on the words from
            characters on, that the base does not have. `continued`: training goes on from the base's own tokens of
            the script (arXiv 2512.03989); the same where the base has none but characters.
    """

    min_count: int = CARDS
    min_syllable_count: int = CARDS
    intermediate_vocab_size: int = 40_000
    max_new_tokens: int | None = None
    prune: Literal["threshold", "leaf"] = "leaf"
    script: str | list[str] = "Hangul"
    candidates: Literal["intermediate", "continued"] = "intermediate"

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        for name in ("min_count", "min_syllable_count", "intermediate_vocab_size", "max_new_tokens"):
            value = getattr(self, name)
            if value is not None or name != "max_new_tokens":
                object.__setattr__(self, name, whole(name, value))
        if not isinstance(self.script, str):  # `--script+ Hangul` adds to the default
            object.__setattr__(self, "script", script_names(self.script))
        kinds = {"prune": ("threshold", "leaf"), "candidates": ("intermediate", "continued")}
        for name, known in kinds.items():
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is {getattr(self, name)!r}; wanted {' or '.join(known)}")
