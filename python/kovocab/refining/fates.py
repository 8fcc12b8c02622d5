"""What became of each candidate: whether it is there, and else when it went and why. Pure.

`refine` leaves it beside the vocabulary as `candidates.parquet`, so that whoever looks at it later, or refines again
with other thresholds, trains nothing.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import polars as pl

from kovocab.corpus.faults import POLARS_ERRORS, first_line
from kovocab.errors import ArtefactError
from kovocab.ownership import changed
from kovocab.record import Record
from kovocab.refining.candidates import Vocabulary
from kovocab.refining.rounds import State
from kovocab.refining.settings import RefineSettings, Why

CANDIDATES = "candidates.parquet"

_COLUMNS: dict[str, Any] = {
    "token": pl.String,
    "left": pl.String,
    "right": pl.String,
    "character": pl.Boolean,
    "base": pl.Boolean,
    "scaffolds": pl.List(pl.String),
    "seen": pl.UInt64,
    "count": pl.UInt64,
    "round": pl.UInt32,
    "why": pl.Enum(get_args(Why)),
}
_SCHEMA = pl.Schema(_COLUMNS)


@dataclass(frozen=True, eq=False)
class Fates:
    """What became of candidates, round by round.

    Attributes:
        count: How often the last target that had each emitted it; of one that a decision dropped, the target of all
            candidates.
        round: When it went, 0 for before the first round; null of one that is there.
        why: Why it went; null of one that is there.
    """

    count: pl.Series
    round: pl.Series
    why: pl.Series

    @classmethod
    def begin(cls, first: Vocabulary, counts: pl.Series, decided: Vocabulary) -> "Fates":
        """Before the first round: `counts` are those of the target of all candidates, `first`."""
        there = pl.repeat(None, len(counts), eager=True)
        none = cls(counts, there.cast(pl.UInt32), there.cast(_SCHEMA["why"]))
        return none._gone(first.there & ~decided.there, 0, "dropped by decision")

    def after(self, before: State, counts: pl.Series, after: State, settings: RefineSettings, number: int) -> "Fates":
        """After a round that went from `before` to `after`; `counts` are what the target of `before` emits."""
        target, character = before.target.there, before.vocabulary.table["character"]
        least = min(settings.min_count, settings.min_syllable_count)
        rare = (counts < settings.min_count) & ~character | (counts < least)
        dropped, come = target & ~after.vocabulary.there, after.vocabulary.there & ~before.vocabulary.there
        count = pl.select(pl.when(target).then(counts).otherwise(self.count)).to_series()
        return (
            replace(self, count=count, round=self.round.set(come, None), why=self.why.set(come, None))
            ._gone(before.vocabulary.there & ~target, number, "a part of it went")
            ._gone(dropped & rare, number, "below min_count")
            ._gone(dropped & ~rare, number, "beyond max_new_tokens")
        )

    def frame(self, candidates: Vocabulary, seen: pl.Series) -> pl.DataFrame:
        """The table that `refine` leaves, in the order of the candidates."""
        columns = [seen.alias("seen"), self.count.alias("count"), self.round.alias("round"), self.why.alias("why")]
        return candidates.table.with_columns(columns).select(*_SCHEMA)

    def _gone(self, rows: pl.Series, number: int, why: Why) -> "Fates":
        return replace(self, round=self.round.set(rows, number), why=self.why.set(rows, why))


def read_candidates(folder: Path, record: Record) -> pl.DataFrame:
    """Read the candidates that `refine` left in a folder.

    Returns:
        `token: str, left: str?, right: str?, character: bool, base: bool, scaffolds: list[str], seen: u64, count: u64,
        round: u32?, why: enum?`, in the order of training; the first six as in `Vocabulary.table`, the last three as
        in `Fates`; `seen` is how often the text had it when it was learned, as a token or in one.

    Raises:
        ArtefactError: an earlier version of kovocab made the folder, or the file is not what `refine` wrote.
    """
    path, files = folder / CANDIDATES, record.get("files", {})
    if CANDIDATES not in files:
        raise ArtefactError(
            f"{folder} has no {CANDIDATES}, which `kovocab refine` leaves from this version on; refine again"
        )
    if not path.is_file() or changed(folder, {CANDIDATES: files[CANDIDATES]}):
        raise ArtefactError(f"{path} is not as `kovocab refine` wrote it; refine again")
    try:
        table = pl.read_parquet(path, glob=False)
    except POLARS_ERRORS as error:
        raise ArtefactError(f"{path} cannot be read: {first_line(error)}; refine again") from error
    if table.schema != _SCHEMA:
        raise ArtefactError(f"{path} holds {dict(table.schema)}; wanted {dict(_SCHEMA)}: refine again")
    return table
