"""Which base tokens go: the rarest that nothing else is made of, some at a time, until there are enough."""

import logging
from collections.abc import Collection, Sequence

import polars as pl

from kovocab.replacing.cost import Cost
from kovocab.replacing.order import Leaves, Making

log = logging.getLogger(__name__)


def choose(making: Making, staying: Collection[int], costs: Sequence[Cost], most: int) -> list[int]:
    """Choose base tokens, at most so many, that may go.

    Those that merges never make go first: no text has them. Then the rarest of those that no token which is there is
    made of; how rare one is says the share of a text's tokens that it is, summed over the texts. Half of what is still
    to go at a time, and then all texts are encoded again; so each half is chosen by exact counts, in which what went
    counts for its parts. Of equals that goes which has the higher id: the base's training found it last.

    Args:
        making: How the base's tokens, and new ones, are made.
        staying: Tokens that never go, new ones among them.
        costs: Of each text; they are changed.
        most: How many are wanted.

    Returns:
        Their ids, in the order in which they go; fewer than `most` where a text's bound, or what stays, allows no more.
    """
    staying = {*staying, *(i for cost in costs for i in cost.whole)}
    leaves = Leaves(making, staying)
    gone = sorted(making.unreachable - staying, reverse=True)[:most]
    leaves.take(gone)
    _drop(costs, gone)
    while (left := most - len(gone)) > 0:
        now = leaves.now
        share = pl.select(pl.repeat(0.0, len(now))).to_series()
        for cost in costs:
            share += cost.counts().gather(now).cast(pl.Float64) / max(cost.before, 1)
        table = pl.DataFrame({"id": now, "share": share}, {"id": pl.UInt32, "share": pl.Float64})
        batch = table.sort("share", "id", descending=[False, True])["id"].head((left + 1) // 2).to_list()
        bounded = [cost for cost in costs if cost.text.bound is not None]
        while batch and not all(cost.without(batch).within for cost in bounded):
            batch = batch[: len(batch) // 2]
        if not batch:
            break
        log.debug("%d of %d leaves go, %d to go", len(batch), len(now), left - len(batch))
        leaves.take(batch)
        _drop(costs, batch)
        gone += batch
    return gone


def _drop(costs: Sequence[Cost], tokens: Sequence[int]) -> None:
    if tokens:
        for cost in costs:
            cost.drop(tokens)
