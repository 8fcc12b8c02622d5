"""Settings of replace: numbers only, so that `--help` need not load what uses them."""

import math
from dataclasses import dataclass
from numbers import Real

from kovocab.errors import UsageError, whole


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
        loss = self.max_english_loss
        if not (isinstance(loss, Real) and math.isfinite(loss) and loss >= 0):
            raise UsageError(f"max_english_loss is {loss!r}; wanted a share from 0 on, 0.01 say")
        if self.max_new_tokens is not None:
            object.__setattr__(self, "max_new_tokens", whole("max_new_tokens", self.max_new_tokens))
