"""How often to read each passage, as numbers: the rule of the bias. No file is opened here.

A passage's rate is decided by the new token in it that needs it most, so all that the rule has to know is, for each new
token, how often it is there and how many tokens are in the passages that it decides: a row a token.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from kovocab.errors import UsageError


@dataclass(frozen=True)
class Bias:
    """How a source is biased towards documents with new tokens.

    Attributes:
        min_seen: How often each new token is to be seen over the run. By default as often as `share` allows.
        max_passes: How many times a document is read at most, for each time that the run could read the source (at
            least one): up to four repetitions are about as good as new text (arXiv 2305.16264).
        share: Of what a document would be read without the bias, the share that it may lose to others where `min_seen`
            is not given.
        passage: What is read again is a document, or a part of so many tokens of a longer one.
        tokens: How many the run takes from the source; by default what its stages come to.
        needs: A table of how much each new token is in need, what `kovocab evaluate` leaves (unlearned.parquet): those
            above the median are to be seen more often.
        needs_weight: How many times as often a token of need 1 is to be seen.
    """

    min_seen: int | None = None
    max_passes: int = 4
    share: float = 0.2
    passage: int = 128
    tokens: int | None = None
    needs: str | None = None
    needs_weight: float = 4.0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.min_seen is not None and self.min_seen < 1:
            raise UsageError(f"data.bias: min_seen is {self.min_seen}; wanted at least 1, or none")
        if not 1 <= self.max_passes <= 1000:
            raise UsageError(f"data.bias: max_passes is {self.max_passes}; wanted 1 to 1,000")
        if not 0 < self.share < 1:
            raise UsageError(f"data.bias: share is {self.share}; wanted a share between 0 and 1")
        if self.passage < 1:
            raise UsageError(f"data.bias: passage is {self.passage}; wanted at least 1 token")
        if self.tokens is not None and self.tokens < 1:
            raise UsageError(f"data.bias: tokens is {self.tokens}; wanted at least 1")
        if not 1 <= self.needs_weight <= 1000:
            raise UsageError(f"data.bias: needs_weight is {self.needs_weight}; wanted 1 to 1,000")
        if self.needs is None and self.needs_weight != type(self).needs_weight:
            raise UsageError(f"data.bias: needs_weight is {self.needs_weight}, of no table; wanted needs with it")


class Rates:
    """The rule: a passage is read max(level, min(most, the largest need of its tokens)) times.

    The need of a token is N · weight / count, and the level, one for all, is where the budget is used up.

    Args:
        counts: How often each new token is in the source: int64 [new].
        tokens: How many tokens are in the passages that each of them decides; behind them, in those without a new
            token: int64 [new + 1]. In the order of `by_need`.
        most: How often a passage is read at most.
        weights: Of each new token, float64 [new]: one of weight 2 is to be seen twice as often. All 1 by default; a
            measurement of needs gives others, see `needs`.
    """

    def __init__(
        self,
        counts: npt.NDArray[np.int64],
        tokens: npt.NDArray[np.int64],
        most: int,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.most, self.total = most, int(tokens.sum())
        order = by_need(counts, weights)
        need = needs(counts, weights)[order]
        self._table = pl.DataFrame({"need": np.append(need, 0.0), "tokens": tokens})

    def at(self, min_seen: int, budget: int) -> npt.NDArray[np.float64] | None:
        """How often the passages that each token decides are read, float64 [new + 1]; None where that is too much."""
        levels = (
            self._needed(min_seen)
            .with_columns(
                before=(pl.col("wanted") * pl.col("tokens")).cum_sum().shift(1, fill_value=0.0),
                rest=pl.col("tokens").cum_sum(reverse=True),
            )
            .filter(pl.col("rest") > 0)
            .with_columns(level=(budget - pl.col("before")) / pl.col("rest"))
            .filter(pl.col("level") >= pl.col("wanted"))
        )
        if levels.is_empty():
            return None
        level = levels["level"][0]
        return self._needed(min_seen)["wanted"].clip(lower_bound=level).to_numpy()

    def largest(self, budget: int, share: float) -> int:
        """The largest `min_seen` that leaves every passage all but `share` of what it would be read without a bias."""
        least = (1 - share) * budget / max(1, self.total)
        # Where the smallest need is more than the most, no larger number changes anything.
        smallest = self._table.filter(pl.col("need") > 0)["need"].min()
        low, high = 0, 0 if smallest is None else int(self.most / float(smallest)) + 1  # type: ignore[arg-type]
        while low < high:
            middle = (low + high + 1) // 2
            wanted = self._needed(middle)
            fits = (wanted["wanted"].clip(lower_bound=least) * wanted["tokens"]).sum() <= budget
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def _needed(self, min_seen: int) -> pl.DataFrame:
        return self._table.with_columns(wanted=(min_seen * pl.col("need")).clip(upper_bound=float(self.most)))


def needs(counts: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """How much each token needs of the passages that it is in, for each time that it is to be seen; 0 if in none."""
    weights = np.ones(len(counts)) if weights is None else weights
    return np.divide(weights, counts, out=np.zeros(len(counts)), where=counts > 0)


def by_need(counts: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.int64]:
    """The new tokens by need, the largest first, those in none last: int64 [new]."""
    return np.argsort(-needs(counts, weights), kind="stable")
