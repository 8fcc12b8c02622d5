"""Settings of refine: numbers and words only, so that `--help` need not load what uses them."""

from dataclasses import dataclass
from typing import Literal

from kovocab.errors import UsageError


@dataclass(frozen=True)
class RefineSettings:
    """What refine goes by; the defaults are the model cards'.

    Attributes:
        min_count: A new token that the target tokenizer emits less often than this is dropped; a single character
            below `min_syllable_count`, where that is lower.
        min_syllable_count: A missing single character seen at least this often is added.
        intermediate_vocab_size: Tokens of the intermediate tokenizer, from which candidates come.
        max_new_tokens: Keep at most this many new tokens, the most frequent, closed under parts; 8,960 in the
            cards.
        prune: `threshold`: the cards' rule, every token below `min_count` goes, even one that others are made
            of. `leaf`: only tokens that no kept token is made of may go; keeps more, at the price of some
            stepping stones below `min_count`.
        script: The script of new tokens.
    """

    min_count: int = 6000
    min_syllable_count: int = 6000
    intermediate_vocab_size: int = 40_000
    max_new_tokens: int | None = None
    prune: Literal["threshold", "leaf"] = "threshold"
    script: Literal["Hangul"] = "Hangul"

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        for name in ("min_count", "min_syllable_count", "intermediate_vocab_size", "max_new_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; wanted 1 or more")
        for name, known in (("prune", ("threshold", "leaf")), ("script", ("Hangul",))):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is {getattr(self, name)!r}; wanted {' or '.join(known)}")
