"""How often a run will see each new token, told before it begins: with the bias of its sources, and without."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from kovocab.data.mix import Mixture
from kovocab.favouring.bias import SEEN
from kovocab.favouring.contexts import CONTEXTS
from kovocab.favouring.passages import Passages
from kovocab.record import Record, read_record
from kovocab.tokenizer.tokenizer import load_tokenizer

Why = Literal["absent", "passes"]
"""Why a token falls short: no document that is trained on has it, or these are read as often as `max_passes` allows."""

MOST_SEEN = 0.01
"""The share of new tokens that are called the most seen."""


@dataclass(frozen=True)
class Coverage:
    """What a run will see of new tokens.

    Attributes:
        tokens: A row a new token, by id: `id` u32, `token`, `count` u64 in the training parts, `without` f64 and `seen`
            f64, how often a run sees it without and with the bias (exact where a source has one, else as often as on
            average), `wanted` u64, how often it was to be, 0 where nothing was said, `short` (`Why`, or null) and
            `contexts` u64, null where no stage distills.
        sources: Of each source its `name`, `tokens` of its training part, `budget`, `share` and `passes` of the run,
            which no bias changes, and, where it has one, `min_seen`, `most`, `level` and `moved`: the share of the
            budget that goes to other passages than without.
    """

    tokens: pl.DataFrame
    sources: list[Record]

    def summary(self) -> Record:
        """What it comes to; `least_tenth` compares the tenth that is seen least, of the tokens that are there."""
        before, after = (self.tokens[column].to_numpy() for column in ("without", "seen"))
        there = self.tokens["count"].to_numpy() > 0
        tenth = max(1, there.sum() // 10)
        most = np.argsort(-before, kind="stable")[: max(1, int(len(before) * MOST_SEEN))]
        short = self.tokens.group_by("short").len()
        return {
            "new_tokens": len(after),
            "without": _spread(before),
            "with": _spread(after),
            "least_tenth": _ratio(np.sort(after[there])[:tenth].sum(), np.sort(before[there])[:tenth].sum()),
            "most_seen_share_without": _ratio(before[most].sum(), before.sum()),
            "most_seen_share_with": _ratio(after[most].sum(), after.sum()),
            "short": dict(short.filter(pl.col("short").is_not_null()).sort("short").iter_rows()),
        }


def coverage(data: Mixture) -> Coverage:
    """Look how often each new token will be seen, once the stages are planned and the sources packed.

    Args:
        data: After `plan`, `prepare_data` and `setup`.

    Raises:
        UsageError: it is not known where new tokens begin, or a `min_seen` does not fit.
    """
    tokenizer = load_tokenizer(data.tokenizer)
    biased, sources = data.biased(), []
    count = without = seen = np.zeros(0)
    for source, packed, blocks in zip(data.sources, data.packed, data.budgets, strict=True):
        passages = Passages(packed, tokenizer.size)
        if not len(count):
            count, without, seen, wanted = (np.zeros(passages.new) for _ in range(4))
        counts = passages.counts()
        passes = blocks * packed.length / passages.tokens
        said = {"name": source.name, "tokens": passages.tokens, "budget": blocks * packed.length, "passes": passes}
        said["share"] = blocks / max(1, sum(data.budgets))
        count, without = count + counts, without + counts * passes
        if (pieces := biased.get(source.name)) is None:
            seen = seen + counts * passes
        else:
            record = read_record(pieces.folder, "bias")
            said |= {"min_seen": record["n"], "most": record["most"], "level": record["level"]}
            said["moved"] = max(0.0, 1 - record["level"] / record["passes_without"])
            table = pl.read_parquet(pieces.folder / SEEN, glob=False)
            seen = seen + table["seen"].to_numpy()
            weights = table["weight"].to_numpy() if "weight" in table.columns else 1.0
            wanted = np.maximum(wanted, np.ceil(record["n"] * weights))
        sources.append(said)
    ids = np.arange(passages.first, tokenizer.size)
    table = pl.DataFrame(
        {
            "id": ids.astype(np.uint32),
            "token": [tokenizer.text_of.get(number) for number in ids.tolist()],
            "count": count.astype(np.uint64),
            "without": without,
            "seen": seen,
            "wanted": wanted.astype(np.uint64),
        },
        schema_overrides={"token": pl.String},
    ).with_columns(
        short=pl.when(pl.col("count") == 0)
        .then(pl.lit("absent"))
        .when(pl.col("seen") < pl.col("wanted"))
        .then(pl.lit("passes"))
    )
    return Coverage(_with_contexts(table, data), sources)


def _with_contexts(table: pl.DataFrame, data: Mixture) -> pl.DataFrame:
    found = next((pieces for pieces in data.mined().values() if pieces is not None), None)
    if found is None:
        return table.with_columns(contexts=pl.lit(None, pl.UInt64))
    return table.join(pl.read_parquet(found.folder / CONTEXTS, glob=False), on="id", how="left", maintain_order="left")


def _spread(numbers: np.ndarray) -> Record:
    return {
        "least": float(numbers.min(initial=0)),
        "tenth": float(np.quantile(numbers, 0.1)) if len(numbers) else 0.0,
        "half": float(np.median(numbers)) if len(numbers) else 0.0,
        "never": int((numbers == 0).sum()),
    }


def _ratio(one: float, other: float) -> float | None:
    return float(one / other) if other else None
