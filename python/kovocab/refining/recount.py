"""Counting what the target of each round emits: the words are encoded once, then only what a round changes.

The merges of a later target are those of an earlier one less some, in the same order: a round takes tokens out and
puts characters in, which have no merges, and both constructions go by the order of the vocabulary. So one target, the
first, numbers and ranks all tokens for the whole of refine, and a later one is the part of it that is left. Where the
base merges the script by itself it is not always so (see `Recount.count`).

With `ignore_merges` a word that is a token is never merged. A new token comes out of merges all the same; a token of
the base may not, so words that are one are counted apart: all targets have them.
"""

import logging
from collections.abc import Sequence
from copy import copy
from itertools import chain

import polars as pl

from kovocab.building.placement import merges_script
from kovocab.building.target import build_target
from kovocab.counting.tables import Tables, apart
from kovocab.counting.token_counts import count_ids, segments
from kovocab.errors import TokenizerError
from kovocab.refining.candidates import Vocabulary
from kovocab.refining.rounds import Text, TokenCounts
from kovocab.tokenizer.script import HANGUL, Script
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson

log = logging.getLogger(__name__)


class Recount:
    """Counts `words` by one target after another.

    Args:
        words: Word counts with the script, without special tokens.
        base: The tokenizer that targets are built from.
        vocabulary: What the first target is built from.
        others: The other words of the text, which every target encodes as the base does.
        text: How much text all words are.
        script: Of the new tokens.

    Raises:
        TokenizerError: the base is of a kind that no target is built of.
    """

    def __init__(
        self,
        words: Tables,
        base: TokenizerJson,
        vocabulary: Vocabulary,
        others: Tables | None = None,
        text: Text | None = None,
        script: Script = HANGUL,
    ) -> None:
        self._words = words
        self._base = base
        self._script = script
        self._merges_script = merges_script(base.texts, script)
        self._text = text or Text()
        self._merged, self._whole = _apart(words, base)
        self._by_base = count_ids(words, base)["count"]
        self._rest = 0 if others is None else int(count_ids(others, base)["count"].sum())
        self._start(vocabulary)

    def _start(self, vocabulary: Vocabulary) -> None:
        self._target = build_target(self._base, vocabulary.frame(), self._script)
        self._segments = segments(self._merged, self._target, self._characters(vocabulary))
        ids = self._target.texts
        there = vocabulary.table["token"].replace_strict(ids, default=None, return_dtype=pl.UInt32)
        self._ids = there.set(~vocabulary.there, None)
        self._vocabulary = vocabulary
        log.debug("%d segments", len(self._segments))

    def _characters(self, vocabulary: Vocabulary) -> str:
        """All that the words may hold: what the base has of them, and new ones, which it spells in bytes."""
        emitted = (self._by_base > 0).arg_true()
        new = vocabulary.table["token"].filter(vocabulary.table["character"])
        return "".join(set(chain.from_iterable([*map(self._base.tokens.__getitem__, emitted), *new])))

    def copy(self) -> "Recount":
        """Another that goes its own way from here."""
        other = copy(self)
        other._segments = self._segments.copy()
        return other

    def count(self, vocabulary: Vocabulary) -> TokenCounts:
        """What the target of `vocabulary`, a part of the first one and characters, emits."""
        before = self._vocabulary.there
        gone, come = before & ~vocabulary.there, vocabulary.there & ~before
        base = vocabulary.table["base"]
        if (
            (come & (self._ids.is_null() | ~vocabulary.table["character"])).any()
            # In bytes, a character comes back with the merge that makes it.
            or (self._base.spelling.byte_level and come.any())
            # A token of the base that cannot be made in the new way any more is merged where the base merged it;
            # a character may be a part of it.
            or (self._merges_script and (come | (gone & base)).any())
        ):
            self._start(vocabulary)
        else:
            idle = sorted(set(self._vocabulary.scaffolds).difference(vocabulary.scaffolds))
            drop = pl.concat([self._ids.filter(gone), self._ids_of(idle)])
            changed = self._segments.change(drop, self._ids.filter(come))
            log.debug("%d segments encoded again", changed)
            self._vocabulary = vocabulary
        counts = self._by_id()["count"]
        by_row = counts.gather(self._ids).fill_null(0)
        return TokenCounts(by_row, int(counts.sum()) + self._rest, self._text)

    def prices(self) -> pl.Series:
        """How many more tokens the words are without each row, and without all that cannot be made without it.

        They are those of the vocabulary that was counted last, and exact: what the target of the vocabulary less the
        row would emit. Below 0 where the words are fewer tokens without it, as happens with a part that often makes
        others impossible.

        Returns:
            i64 by row; null of a row that is not there. And where it is not known: of a SentencePiece-style base that
            merges the script by itself, a token that one of the base's is made of, which would be made in another way.
        """
        there, table = self._vocabulary.there, self._vocabulary.table
        needs = self._vocabulary.needs().filter(pl.col("row").is_in(there.arg_true().implode()))
        base = table["base"].gather(needs["row"])
        dropped = needs.select("needed", id=self._ids.gather(needs["row"])).filter(~base)
        dropped = pl.concat([dropped, self._idle_scaffolds(needs.filter(~base))])
        prices = pl.DataFrame(self._segments.prices(len(table), dropped["needed"], dropped["id"]))["price"]
        known = there & ~table["base"]
        if self._merges_script and not self._base.spelling.byte_level:
            known = known.scatter(needs["needed"].filter(base), False)
        return prices.set(~known, None)

    def _idle_scaffolds(self, needs: pl.DataFrame) -> pl.DataFrame:
        """The scaffolds that nothing needs any more without a row and what needs it: `needed: u32, id: u32`."""
        table, there = self._vocabulary.table, self._vocabulary.there
        lists = table.select("scaffolds").with_row_index("row").filter(there).explode("scaffolds").drop_nulls()
        users = lists.group_by("scaffolds").len("all")
        gone = needs.join(lists, on="row").group_by("needed", "scaffolds").len("gone")
        idle = gone.join(users, on="scaffolds").filter(pl.col("gone") == pl.col("all")).sort("needed", "scaffolds")
        return idle.select("needed", id=self._ids_of(idle["scaffolds"].to_list()))

    def emitted(self, tokens: Sequence[str]) -> pl.Series:
        """How often each of some tokens of the last target was emitted."""
        return self._by_id()["count"].gather(self._ids_of(tokens))

    def count_base(self) -> TokenCounts:
        """What the base emits; it has no rows."""
        return TokenCounts(pl.Series([], dtype=pl.UInt64), int(self._by_base.sum()) + self._rest, self._text)

    def check(self, target: TokenizerJson) -> None:
        """Check the last counts against those of the target as it was built.

        Raises:
            TokenizerError: they differ; names a token.
        """
        seen = [_emitted(self._by_id(), self._target), _emitted(count_ids(self._words, target), target)]
        if not seen[0].equals(seen[1]):
            token = pl.concat([seen[0].join(seen[1], on=["token", "count"], how="anti"), seen[1]])["token"][0]
            raise TokenizerError(
                f"the target emits {token!r} more or less often than refine counted: a fault of kovocab"
            )

    def _ids_of(self, tokens: Sequence[str]) -> pl.Series:
        return pl.Series([self._target.texts[token] for token in tokens], dtype=pl.UInt32)

    def _by_id(self) -> pl.DataFrame:
        counts = pl.DataFrame(self._segments.count_tokens())
        seen = counts["count"].gather(self._whole["id"]) + self._whole["count"]
        return counts.with_columns(counts["count"].scatter(self._whole["id"], seen))


def _emitted(counts: pl.DataFrame, tokenizer: TokenizerJson) -> pl.DataFrame:
    """The tokens that counts by id have at all: `token`, `count`, by token."""
    seen = counts.filter(pl.col("count") > 0)
    tokens = pl.Series("token", [tokenizer.tokens[i] for i in seen["id"]], dtype=pl.String)
    return seen.select(tokens, "count").sort("token")


def _apart(words: Tables, base: TokenizerJson) -> tuple[Tables, pl.DataFrame]:
    """The words that a byte-level base merges, and those that it takes whole: `word`, `count`, and `id` of these."""
    whole = isinstance(base.model, BpeModel) and base.model.ignore_merges and base.spelling.byte_level
    return apart(words, base.texts if whole else {})
