"""What a choice of candidates comes to: sums, prices, the curve, refine again; exactly, by refine's own recount."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from kovocab.counting.tables import bytes_of, opened
from kovocab.curating.thresholds import curve, steps
from kovocab.errors import UsageError
from kovocab.record import Record
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.intermediate import Begun
from kovocab.refining.recount import Recount
from kovocab.refining.refine import refine_from
from kovocab.refining.refined import Refined
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.tokenizer import Source

_TRAINED_BY = ("intermediate_vocab_size", "script", "candidates")
"""The settings that candidates depend on."""


@dataclass(frozen=True)
class Sums:
    """What a choice comes to.

    Attributes:
        tokens: New tokens, scaffolds among them.
        tokens_per_word: Of all words of the text between white space; None where these were not counted.
        bytes_per_token: UTF-8 of the text for each token; None where that was not counted.
        left: Of `max_new_tokens`; None without.
    """

    tokens: int
    tokens_per_word: float | None
    bytes_per_token: float | None
    left: int | None


@dataclass(frozen=True)
class Difference:
    """What refine, done again, changed: tokens that came and that went, and the sums on either side."""

    came: list[str]
    went: list[str]
    before: Sums
    after: Sums


class Choices:
    """What any choice of a refine's candidates comes to; not safe for several threads at once.

    The words are read and encoded when something is first asked.

    Args:
        rows: As `Curation.rows`.
        row_of: Of each row, the row of the candidates' table that it is.
        candidates: The table that refine left.
        words: The word counts that it was refined from.
        base: The base that it was refined for.
        settings: Those that it was refined with.
        record: Of the refine.
    """

    def __init__(
        self,
        rows: pl.DataFrame,
        row_of: pl.Series,
        candidates: pl.DataFrame,
        words: Path,
        base: Source,
        settings: RefineSettings,
        record: Record,
    ) -> None:
        self._rows, self._row_of, self._candidates = rows, row_of, candidates
        self._words, self._base = words, base
        self._settings, self._record = settings, record
        self._last: tuple[Vocabulary, Recount] | None = None

    @property
    def now(self) -> Sums:
        """The sums of what refine left, by its record: at once."""
        last = self._record["rounds"][-1]
        return _sums(self._record["new_tokens"], last["tokens_per_word"], last["bytes_per_token"], self._settings)

    def prices(self) -> pl.Series:
        """How many more tokens the words take without each row and its children: i64, by row.

        Exact: what the target without them would emit. Null of a row that is not kept; below 0 where the words would
        take fewer.
        """
        recount = self._counted_at(self._kept)
        return recount.prices().gather(self._row_of).alias("price")

    def sums(self, drop: Collection[int] = (), keep: Collection[int] = ()) -> Sums:
        """What the vocabulary is less the rows `drop` and their children, with the rows `keep` and their parts."""
        everything = self._begun.candidates.reachable()
        wanted = everything.with_stems(self._there(keep)) | self._kept.there
        vocabulary = everything.without(~wanted | self._there(drop)).reachable()
        counts = self._counted_at(vocabulary).count(vocabulary)
        return _sums(vocabulary.size, counts.tokens_per_word, counts.bytes_per_token, self._settings)

    def refine(self, decisions: Decisions, settings: RefineSettings) -> tuple[Refined, Difference]:
        """Refine again; the intermediate tokenizer is trained again only if `settings` say another.

        Errors as `kovocab.refine`.
        """
        begun, recount = self._begun, self._all_counted
        if any(getattr(settings, name) != getattr(self._settings, name) for name in _TRAINED_BY):
            begun = Begun.of(begun.counted, self._base, settings)
            recount = begun.recount()
        refined = refine_from(begun, recount.copy(), settings, decisions)
        before = dict.fromkeys(self._rows.filter("kept").sort("token")["token"])
        new = refined.vocabulary.filter(pl.col("id") >= refined.record["first_new_id"])
        after = dict.fromkeys(new.filter(~pl.col("token").str.starts_with("<0x"))["token"].sort())
        last = refined.record["rounds"][-1]
        sums = _sums(refined.record["new_tokens"], last["tokens_per_word"], last["bytes_per_token"], settings)
        came, went = [t for t in after if t not in before], [t for t in before if t not in after]
        return refined, Difference(came, went, self.now, sums)

    def curve(self) -> pl.DataFrame:
        """What each of some thresholds would leave, as `thresholds.curve` has it."""
        least = steps(bytes_of(self._begun.counted), self._settings.min_count)
        return curve(self._begun, self._all_counted, self._settings, least)

    @cached_property
    def _begun(self) -> Begun:
        return Begun.of(opened(self._words), self._base, self._settings, self._candidates)

    @cached_property
    def _all_counted(self) -> Recount:
        return self._begun.recount()

    @cached_property
    def _kept(self) -> Vocabulary:
        everything = self._begun.candidates
        return everything.without(self._candidates["why"].is_not_null())

    def _counted_at(self, vocabulary: Vocabulary) -> Recount:
        """The words encoded with a vocabulary: from the last one that was asked for, where it has all of it."""
        last = self._last
        if last is None or (vocabulary.there & ~last[0].there).any():
            last = vocabulary, self._all_counted.copy()
        last[1].count(vocabulary)
        self._last = vocabulary, last[1]
        return last[1]

    def _there(self, rows: Collection[int]) -> pl.Series:
        """The rows of the candidates' table that are these of `rows`, as a set."""
        numbers = pl.Series(list(rows), dtype=pl.UInt32)
        if len(numbers) and int(numbers.max()) >= len(self._rows):  # type: ignore[arg-type]
            raise UsageError(f"there is no row {max(rows)}; wanted 0 to {len(self._rows) - 1}")
        none = pl.repeat(False, len(self._candidates), eager=True, dtype=pl.Boolean)
        return none.scatter(self._row_of.gather(numbers), True)


def _sums(tokens: int, tokens_per_word: float | None, bytes_per_token: float | None, settings: RefineSettings) -> Sums:
    most = settings.max_new_tokens
    return Sums(tokens, tokens_per_word, bytes_per_token, None if most is None else most - tokens)
