"""The vocabulary that refine works on: candidate tokens in merge order, each with the two parts it is made of.

A value, never changed in place. It knows tokens and parts and nothing of words, counts or tokenizers.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from kovocab.errors import UsageError

log = logging.getLogger(__name__)

Parts = tuple[str, str] | None
"""Left and right part of a token; None for a single character."""


@dataclass(frozen=True)
class Vocabulary:
    """Candidates for the target tokenizer.

    Attributes:
        parts: Token → its parts. Characters come first, by code point, then merges in the order of training.
        base: Tokens of the base. They are no candidates, but may be parts, and rows too: of a token that the
            base has and does not merge in this way, only the merge is new.
    """

    parts: Mapping[str, Parts]
    base: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, trained: pl.DataFrame, base: Iterable[str]) -> "Vocabulary":
        """Take every token of `trained` (see `bpe.train`) but single characters that the base has.

        Of a token that can be made in two ways the first way counts: by the time the second comes up, the first
        has merged wherever both could (`docs/tokenizer.md`).
        """
        base = frozenset(base)
        parts: dict[str, Parts] = {}
        for token, left, right in trained.select("token", "left", "right").iter_rows():
            if len(token) > 1 or token not in base:
                parts.setdefault(token, None if left is None else (left, right))
        return cls(parts, base)

    @property
    def new(self) -> list[str]:
        """The tokens that the base does not have."""
        return [token for token in self.parts if token not in self.base]

    def without(self, tokens: Collection[str]) -> "Vocabulary":
        """The vocabulary less `tokens`."""
        return replace(self, parts={token: parts for token, parts in self.parts.items() if token not in tokens})

    def with_characters(self, characters: Iterable[str]) -> "Vocabulary":
        """The vocabulary and the single characters that it lacks."""
        singles = sorted({*characters, *(token for token, parts in self.parts.items() if parts is None)})
        merged = {token: parts for token, parts in self.parts.items() if parts is not None}
        return replace(self, parts=dict.fromkeys(singles) | merged)

    def reachable(self) -> "Vocabulary":
        """The tokens whose parts, and the parts' parts, are all there: the others can never be emitted.

        Parts stand before what is made of them, so one pass finds all.
        """
        kept: dict[str, Parts] = {}
        for token, parts in self.parts.items():
            if parts is None or all(part in kept or part in self.base for part in parts):
                kept[token] = parts
        return replace(self, parts=kept)

    def leaves(self) -> set[str]:
        """The new tokens that no other token is made of."""
        stems = {part for parts in self.parts.values() if parts is not None for part in parts}
        return {token for token in self.new if token not in stems}

    def with_stems(self, tokens: Iterable[str]) -> set[str]:
        """`tokens`, the tokens that they are made of, and so on down to characters."""
        found: set[str] = set()
        waiting = [token for token in tokens if token in self.parts]
        while waiting:
            token = waiting.pop()
            if token not in found:
                found.add(token)
                waiting += [part for part in self.parts[token] or () if part in self.parts]
        return found

    def frame(self) -> pl.DataFrame:
        """`token: str, left: str | null, right: str | null`, in order."""
        rows = [(token, *(parts or (None, None))) for token, parts in self.parts.items()]
        return pl.DataFrame(rows, schema=dict.fromkeys(("token", "left", "right"), pl.String), orient="row")


@dataclass(frozen=True)
class Decisions:
    """What a person decided: tokens to keep whatever their count, and tokens not to have.

    Attributes:
        keep: Never dropped, and so neither is what they are made of.
        drop: Never in the vocabulary.
    """

    keep: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: str | Path) -> "Decisions":
        """Read a CSV or Parquet file with the columns `token` and `decision` (`keep` or `drop`).

        A space at the start of a token may be written as such or as `▁`.

        Raises:
            UsageError: the file cannot be read, lacks a column, or a row (named) is not a decision.
        """
        path = Path(path)
        try:
            # Every column as text: a token that looks like a number is still a token.
            parquet = path.suffix == ".parquet"
            table = pl.read_parquet(path, glob=False) if parquet else pl.read_csv(path, infer_schema=False, glob=False)
            table = table.with_columns(pl.col("^(token|decision)$").cast(pl.String))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UsageError(f"decisions: {path} cannot be read: {str(error).splitlines()[0]}") from error
        if missing := {"token", "decision"} - set(table.columns):
            raise UsageError(f"decisions: {path} has no column {min(missing)!r}; wanted token,decision")
        lists: dict[str, set[str]] = {"keep": set(), "drop": set()}
        for row, (token, decision) in enumerate(table.select("token", "decision").iter_rows(), start=1):
            if not token or decision not in lists:
                raise UsageError(f"decisions: {path}, row {row}: {token!r}, {decision!r}; wanted keep or drop")
            lists[decision].add(token.replace(" ", "▁"))
        if both := sorted(lists["keep"] & lists["drop"]):
            raise UsageError(f"decisions: {path} says both keep and drop of {', '.join(both[:5])}")
        return cls(frozenset(lists["keep"]), frozenset(lists["drop"]))

    def apply(self, vocabulary: Vocabulary) -> Vocabulary:
        """The vocabulary that refine starts from.

        Raises:
            UsageError: a token to keep is not a candidate, or cannot be made without one that is to be dropped.
        """
        if unknown := sorted(self.keep - set(vocabulary.new)):
            raise UsageError(
                f"decisions: tokens to keep that are not candidates: {', '.join(unknown[:5])} ({len(unknown)} in all); "
                "candidates are the intermediate tokenizer's tokens that the base does not have: raise "
                "intermediate_vocab_size"
            )
        if idle := sorted(self.drop - set(vocabulary.new)):
            log.warning(
                "decisions: tokens to drop that are no candidates: %s (%d in all)", ", ".join(idle[:5]), len(idle)
            )
        left = vocabulary.without(self.drop).reachable()
        if lost := sorted(token for token in self.keep if token not in left.parts):
            stems = sorted(vocabulary.with_stems(lost[:1]) & self.drop)
            raise UsageError(
                f"decisions: {lost[0]!r} is to be kept, but is made of {stems[0]!r}, which is to be dropped"
            )
        return vocabulary.without(self.drop)
