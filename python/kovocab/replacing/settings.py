"""Settings of replace: numbers only, so that `--help` need not load what uses them."""

import math
from dataclasses import dataclass

from kovocab.errors import UsageError


@dataclass(frozen=True)
class ReplaceSettings:
    """What replace goes by.

    Attributes:
        max_english_loss: The share that the tokens of each text to keep may grow by, at most, over its words without
            the script: 0.01 is one more in a hundred.
        max_new_tokens: Replace at most this many, the most frequent new ones; all that refine left when None.
    """

    max_english_loss: float = 0.01
    max_new_tokens: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        if not (math.isfinite(self.max_english_loss) and self.max_english_loss >= 0):
            raise UsageError(f"max_english_loss is {self.max_english_loss}; wanted a share from 0 on, 0.01 say")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {self.max_new_tokens}; wanted 1 or more")
