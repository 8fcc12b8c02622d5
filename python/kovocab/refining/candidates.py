"""The vocabulary that refine works on: candidate tokens in merge order, each with the two parts it is made of.

A value, never changed in place. It knows tokens and parts and nothing of words, counts or tokenizers. The table of
candidates stands still while refine turns; what changes is which of them are there. So a set of tokens is a boolean
a row, and a question about 40,000 tokens is some passes over columns.
"""

import logging
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from kovocab.corpus.faults import POLARS_ERRORS, first_line
from kovocab.corpus.files import no_table
from kovocab.errors import UsageError
from kovocab.tokenizer.script import HANGUL, SPACE, Script

log = logging.getLogger(__name__)

Rows = pl.Series
"""A set of candidates: a boolean for each row of the table."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Candidates for the target tokenizer, and which of them are in it.

    Attributes:
        table: `token: str, left: str?, right: str?`, the parts of a token or null for a character;
            `left_row: u32?, right_row: u32?`, their rows, null where the part is no candidate but the base's;
            `character: bool`; `base: bool`, whether the base has the token: it is no candidate, but may be a part,
            and a row too, if it does not merge in this way: then only the merge is new. Characters come first,
            by code point, then merges in the order of training;
            `scaffolds: list[str]`, the two-byte tokens that a byte-level base lacks and the token's characters need.
        there: The candidates that are in the vocabulary.
    """

    table: pl.DataFrame = field(repr=False)
    there: Rows

    @classmethod
    def of(cls, trained: pl.DataFrame, base: Iterable[str], scaffolds: Mapping[str, str] | None = None) -> "Vocabulary":
        """Take every token of `trained` (see `intermediate.train`) but single characters that the base has.

        Of a token that can be made in two ways the first way counts: by the time the second comes up, the first
        has merged wherever both could (`docs/tokenizer.md`). `scaffolds` are those that the base lacks, by the
        characters that need them.
        """
        token = pl.col("token")
        in_base = token.is_in(pl.Series(list(base), dtype=pl.String).implode())
        table = (
            trained.select("token", "left", "right", character=token.str.len_chars() == 1, base=in_base)
            .filter(~(pl.col("character") & pl.col("base")))
            .unique("token", keep="first", maintain_order=True)
        )
        needed = scaffolds or {}
        lists = [
            "".join(sorted({needed[c] for c in token if c in needed})) if needed else "" for token in table["token"]
        ]
        # A Series of lists is made a list at a time, which takes as long as all else here.
        return cls.of_table(
            table.with_columns(pl.Series("scaffolds", lists, dtype=pl.String).str.extract_all("<0x..><0x..>"))
        )

    @classmethod
    def of_table(cls, table: pl.DataFrame) -> "Vocabulary":
        """All of a table's candidates, where only the rows of their parts are still to be found."""
        table = table.select("token", "left", "right", "character", "base", "scaffolds").with_row_index("row")
        for part in ("left", "right"):
            rows = table.select(pl.col("token").alias(part), pl.col("row").alias(f"{part}_row"))
            table = table.join(rows, on=part, how="left", maintain_order="left")
        return cls(table.drop("row"), pl.repeat(True, len(table), eager=True, dtype=pl.Boolean))

    @property
    def new(self) -> Rows:
        """The tokens that are there and that the base does not have."""
        return self.there & ~self.table["base"]

    @property
    def scaffolds(self) -> list[str]:
        """The scaffolds that the tokens need, in order: each a new token of its own, that is no text."""
        needed = self.table["scaffolds"].filter(self.there).explode().drop_nulls()
        return needed.unique().sort().to_list()

    @property
    def size(self) -> int:
        """New tokens, scaffolds among them: the ids that the model grows by."""
        return int(self.new.sum()) + len(self.scaffolds)

    def rows(self, tokens: Collection[str]) -> Rows:
        """The candidates among `tokens`."""
        return self.table["token"].is_in(sorted(tokens))

    def tokens(self, rows: Rows) -> list[str]:
        """The texts of `rows`."""
        return self.table["token"].filter(rows).to_list()

    def by_row(self, counts: Mapping[str, int]) -> pl.Series:
        """The count of each candidate; 0 of one that `counts` lacks."""
        return self.table["token"].replace_strict(counts, default=0, return_dtype=pl.UInt64).alias("count")

    def without(self, rows: Rows) -> "Vocabulary":
        """The vocabulary less `rows`."""
        return replace(self, there=self.there & ~rows)

    def plus(self, rows: Rows) -> "Vocabulary":
        """The vocabulary and `rows`."""
        return replace(self, there=self.there | rows)

    def reachable(self) -> "Vocabulary":
        """The tokens whose parts, and the parts' parts, are all there: the others can never be emitted.

        A token of the base, too: where it cannot be made in this way any more, other merges may come before the base's.
        """
        there = self.there
        while True:
            parts = (there.gather(self.table[part]).fill_null(True) for part in ("left_row", "right_row"))
            fewer = there & next(parts) & next(parts)
            if fewer.sum() == there.sum():
                return replace(self, there=there)
            there = fewer

    def leaves(self) -> Rows:
        """The new tokens that no other token is made of."""
        return self.new & ~self._parts(self.there)

    def with_stems(self, rows: Rows) -> Rows:
        """`rows`, the candidates that they are made of, and so on down to characters."""
        found = rows & self.there
        while True:
            more = found | (self._parts(found) & self.there)
            if more.sum() == found.sum():
                return found
            found = more

    def needs(self) -> pl.DataFrame:
        """What each row cannot be made without, all the way down and itself among it.

        Returns:
            `row: u32, needed: u32`, by row.
        """
        rows = pl.int_range(len(self.table), dtype=pl.UInt32, eager=True).alias("row")
        parts = pl.concat(
            pl.DataFrame([rows, self.table[part].alias("needed")]).drop_nulls() for part in ("left_row", "right_row")
        )
        found = [pl.DataFrame([rows, rows.alias("needed")])]
        while not found[-1].is_empty():
            below = found[-1].join(parts.rename({"row": "needed", "needed": "below"}), on="needed")
            found.append(below.select("row", needed="below").unique())
        return pl.concat(found).unique().sort("row", "needed")

    def frame(self) -> pl.DataFrame:
        """`token: str, left: str | null, right: str | null`, in order."""
        return self.table.filter(self.there).select("token", "left", "right")

    def _parts(self, rows: Rows) -> Rows:
        """The candidates that `rows` are made of, one step down."""
        parts = [self.table[part].filter(rows).drop_nulls() for part in ("left_row", "right_row")]
        return pl.repeat(False, len(rows), eager=True, dtype=pl.Boolean).scatter(pl.concat(parts), True)


def _first_other(token: str, script: Script) -> str:
    """The first character of `token` that no new token can hold, by its code point and name."""
    other = next((c for c in token.removeprefix(SPACE) if not script.can_be_new(c)), None)
    if other is None:
        return f"no {script.name}"
    nameless = "(private use)" if unicodedata.category(other) == "Co" else "(no name)"
    return f"U+{ord(other):04X} {unicodedata.name(other, nameless)}"


def _few(tokens: list[str]) -> str:
    """The first of some tokens on one line, whatever they hold."""
    return ", ".join(repr(token)[1:-1] if not token.isprintable() else token for token in tokens[:5])


UNDO = "undo"
"""What a row of decisions says that takes back those above it."""


def written(token: str) -> str:
    """A token as tables have it, whatever a person's system made of it: composed, its space as `▁`."""
    return unicodedata.normalize("NFC", token.replace(" ", "▁"))


@dataclass(frozen=True)
class Decisions:
    """What a person decided: tokens to keep whatever their count, and tokens not to have.

    They are read in NFC, whatever they are written in: a new token is made of whole syllables.

    Attributes:
        keep: Never dropped, and so neither is what they are made of.
        drop: Never in the vocabulary.
    """

    keep: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Compose what a person's system may have taken apart."""
        for name in ("keep", "drop"):
            composed = frozenset(unicodedata.normalize("NFC", token) for token in getattr(self, name))
            object.__setattr__(self, name, composed)

    @classmethod
    def load(cls, path: str | Path) -> "Decisions":
        """Read a CSV or Parquet file with the columns `token` and `decision` (`keep` or `drop`).

        A space at the start of a token may be written as such or as `▁`. `undo` takes back what the rows above say
        of its token, so that a file may be only ever appended to, as `kovocab curate` does.

        Raises:
            UsageError: the file cannot be read, lacks a column, or a row (named) is not a decision.
        """
        path = Path(path)
        if path.is_dir():
            raise UsageError(f"decisions: {path} is a folder; wanted a CSV with the columns token,decision")
        if said := no_table(path):
            raise UsageError(f"decisions: {path} {said}")
        try:
            # Every column as text: a token that looks like a number is still a token.
            parquet = path.suffix == ".parquet"
            table = pl.read_parquet(path, glob=False) if parquet else pl.read_csv(path, infer_schema=False, glob=False)
            table = table.with_columns(pl.col("^(token|decision)$").cast(pl.String))
        except POLARS_ERRORS as error:
            wanted = "wanted a CSV with the columns token,decision"
            raise UsageError(f"decisions: {path} cannot be read: {first_line(error)}; {wanted}") from error
        if missing := {"token", "decision"} - set(table.columns):
            raise UsageError(f"decisions: {path} has no column {min(missing)!r}; wanted token,decision")
        lists: dict[str, set[str]] = {"keep": set(), "drop": set()}
        for row, (token, decision) in enumerate(table.select("token", "decision").iter_rows(), start=1):
            if not token or decision not in (*lists, UNDO):
                raise UsageError(f"decisions: {path}, row {row}: {token!r}, {decision!r}; wanted keep or drop, or undo")
            if decision == UNDO:
                for side in lists.values():
                    side.discard(written(token))
            else:
                lists[decision].add(written(token))
        decisions = cls(frozenset(lists["keep"]), frozenset(lists["drop"]))
        if both := sorted(decisions.keep & decisions.drop):
            raise UsageError(f"decisions: {path} says both keep and drop of {_few(both)}")
        return decisions

    def apply(self, vocabulary: Vocabulary, base: Collection[str] = (), script: Script = HANGUL) -> Vocabulary:
        """The vocabulary that refine starts from; `base` are the base's tokens, new ones are of `script`.

        Raises:
            UsageError: a token to keep is not a candidate, or cannot be made without one that is to be dropped.
        """
        for token in sorted(self.keep):
            if not script.can_be_new(token):
                raise UsageError(
                    f"decisions: {token!r} is to be kept and can be no new token, for it has "
                    f"{_first_other(token, script)}; wanted {script.wanted}, with a space before them or without"
                )
            if token in base:
                raise UsageError(f"decisions: {token!r} is to be kept, and the base has it already; wanted new tokens")
        keep, drop = vocabulary.rows(self.keep) & vocabulary.new, vocabulary.rows(self.drop) & vocabulary.new
        if unknown := sorted(self.keep - set(vocabulary.tokens(keep))):
            raise UsageError(
                f"decisions: tokens to keep that are not candidates: {', '.join(unknown[:5])} ({len(unknown)} in all); "
                "candidates are the intermediate tokenizer's tokens that the base does not have: raise "
                "intermediate_vocab_size"
            )
        if idle := sorted(self.drop - set(vocabulary.tokens(drop))):
            log.warning("decisions: tokens to drop that are no candidates: %s (%d in all)", _few(idle), len(idle))
        left = vocabulary.without(vocabulary.rows(self.drop))
        if lost := sorted(vocabulary.tokens(keep & ~left.reachable().there)):
            stems = sorted(self.drop.intersection(vocabulary.tokens(vocabulary.with_stems(vocabulary.rows(lost[:1])))))
            raise UsageError(
                f"decisions: {lost[0]!r} is to be kept, but is made of {stems[0]!r}, which is to be dropped"
            )
        return left
