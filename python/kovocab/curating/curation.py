"""The candidates of a refine with all that a person decides by, and what a choice comes to. It knows no page."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from threading import Event

import numpy as np
import polars as pl

from kovocab.building.target import build_target
from kovocab.corpus.settings import TEXT, Reading
from kovocab.counting.word_counts import load_counted, read_counted
from kovocab.curating.kinds import kinds
from kovocab.curating.places import Places, Sentence, Target
from kovocab.curating.rows import rows_of
from kovocab.curating.thresholds import curve, steps
from kovocab.errors import UsageError
from kovocab.reading.documents import Corpus, check_readable
from kovocab.record import Record, difference, read_record
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.fates import read_candidates
from kovocab.refining.intermediate import Begun
from kovocab.refining.recount import Recount
from kovocab.refining.refine import refine_from
from kovocab.refining.refined import Refined
from kovocab.refining.rounds import TokenCounts
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.script import script_of
from kovocab.tokenizer.tokenizer import Source, load_tokenizer

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


@dataclass(eq=False)
class Curation:
    """A refine to look at and decide on; not safe for several threads at once, but for `rows` and `sentences`.

    Attributes:
        rows: A row a candidate, most frequent first, then by token:
            `row: u32`, from 0; `token: str`, as word counts write it; `count: u64`, how often the last target that
            had it emits it; `seen: u64`, how often the text had it when it was learned, as a token or in one;
            `rank: u32`, by count, from 1; `length: u32`, characters without the space before; `kind: str?`, null, see
            `kinds`; `stem: str`, of the group that is decided at once; `left: str?`, `right: str?`, its parts;
            `children: list[u32]`, rows that cannot be made without it; `kept: bool`, whether it is in the vocabulary;
            `why: str?`, why it is not, and `round: u32?`, since when; `flags: list[str]`, `sources: list[str]`, as far
            as they are known without the corpus.
        settings: Those that it was refined with.
        decisions: Those that it honoured.
        record: Of the refine.
    """

    rows: pl.DataFrame
    settings: RefineSettings
    decisions: Decisions
    record: Record
    _candidates: pl.DataFrame = field(repr=False)
    _words: Path = field(repr=False)
    _base: Source = field(repr=False)
    _row_of: pl.Series = field(repr=False)
    _folder: Path = field(repr=False)
    _corpus: Corpus | None = field(repr=False)
    _reading: Reading = field(repr=False)
    _over: Event = field(init=False, repr=False, default_factory=Event)
    _places: Places | None = field(init=False, repr=False, default=None)

    @classmethod
    def open(
        cls,
        tokenizer: str | Path,
        words: str | Path,
        base: Source,
        corpus: Corpus | None = None,
        reading: Reading = TEXT,
    ) -> "Curation":
        """Open the folder that refine left; nothing is encoded yet.

        Args:
            tokenizer: The folder.
            words: The word counts that it was refined from.
            base: The base that it was refined for.
            corpus: What was counted, for sentences and sources; as `count` takes it.
            reading: How documents are found in it.

        Raises:
            ArtefactError: the folder is not refine's, of an earlier version, or was changed.
            CorpusError: the words cannot be read, or the corpus.
            UsageError: the words or the base are not those of the folder.
            TokenizerError: the base cannot be read.
        """
        record = read_record(tokenizer, "refine")
        candidates = read_candidates(Path(tokenizer), record)
        if differs := difference(record["words"], read_counted(words)):
            raise UsageError(f"{words} is not what {tokenizer} was refined from: {differs}")
        if (digest := load_tokenizer(base).digest) != record.get("base_tokenizer"):
            raise UsageError(
                f"{tokenizer} was refined for another base than {base}: base_tokenizer was "
                f"{record.get('base_tokenizer')} and is {digest}"
            )
        if corpus is not None:
            check_readable(corpus, reading)
        known = {one.name for one in fields(RefineSettings)}
        settings = RefineSettings(**{name: value for name, value in record["settings"].items() if name in known})
        decided = record.get("decisions", {})
        decisions = Decisions(frozenset(decided.get("keep", ())), frozenset(decided.get("drop", ())))
        rows, row_of = rows_of(candidates, settings)
        folder = Path(tokenizer)
        return cls(
            rows, settings, decisions, record, candidates, Path(words), base, row_of, folder, corpus, reading
        )  # fmt: skip

    @property
    def now(self) -> Sums:
        """The sums of what refine left, by its record: at once."""
        last = self.record["rounds"][-1]
        return self._sums(self.record["new_tokens"], last["tokens_per_word"], last["bytes_per_token"], self.settings)

    def warm(self) -> None:
        """Read and encode the words now, some seconds, so that sums and prices need not wait for it."""
        _ = self._all_counted

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
        recount = self._counted_at(vocabulary)
        return self._sums_of(vocabulary, recount.count(vocabulary), self.settings)

    def refine(self, decisions: Decisions, settings: RefineSettings) -> tuple[Refined, Difference]:
        """Refine again; the intermediate tokenizer is trained again only if `settings` say another.

        Errors as `kovocab.refine`.
        """
        begun, recount = self._begun, self._all_counted
        if any(getattr(settings, name) != getattr(self.settings, name) for name in _TRAINED_BY):
            begun = Begun.of(begun.counted, self._base, settings)
            recount = begun.recount()
        refined = refine_from(begun, recount.copy(), settings, decisions)
        before = dict.fromkeys(self.rows.filter("kept").sort("token")["token"])
        new = refined.vocabulary.filter(pl.col("id") >= refined.record["first_new_id"])
        after = dict.fromkeys(new.filter(~pl.col("token").str.starts_with("<0x"))["token"].sort())
        last = refined.record["rounds"][-1]
        sums = self._sums(refined.record["new_tokens"], last["tokens_per_word"], last["bytes_per_token"], settings)
        came, went = [t for t in after if t not in before], [t for t in before if t not in after]
        return refined, Difference(came, went, self.now, sums)

    def curve(self) -> pl.DataFrame:
        """What each of some thresholds would leave, as `thresholds.curve` has it."""
        size = self._begun.counted.record.get("bytes", 0)
        return curve(self._begun, self._all_counted, self.settings, steps(size, self.settings.min_count))

    def sources_and_flags(self) -> pl.DataFrame | None:
        """What one pass over the corpus says: `row: u32, sources: list[str], flags: list[str]`; None without corpus.

        Of each row, all of its flags. A token that stands in one document alone, or of several sources in one, is
        flagged where it stands there more than once.
        """
        if self._corpus is None:
            return None
        self._places = places = self._to_look(self._corpus)
        found = places.look()
        several = found["sources"].explode().n_unique() > 1
        rows = self.rows.select("row", "count", "flags").join(found, on="row", how="left", maintain_order="left")
        often = pl.col("count") > 1
        one_source = pl.when(often & (pl.col("sources").list.len() == 1) & pl.lit(several)).then(pl.lit("one source"))
        one_document = pl.when(often & (pl.col("documents") == 1)).then(pl.lit("one document"))
        return rows.select(
            "row",
            pl.col("sources").fill_null(pl.lit([], dtype=pl.List(pl.String))),
            flags=pl.concat_list("flags", pl.concat_list(one_source, one_document).list.drop_nulls()),
        )

    def kinds(self) -> pl.DataFrame | None:
        """What kind of word each row is, see `kovocab.curating.kinds`, and what it is to be looked at for besides.

        Returns:
            `kind: str?, flags: list[str]`, by row; None without kiwipiepy.
        """
        found = kinds(self.rows["token"].to_list())
        if found is None:
            return None
        flags = pl.Series("flags", [["name"] if person else [] for _, person in found], dtype=pl.List(pl.String))
        return pl.DataFrame([pl.Series("kind", [kind for kind, _ in found], dtype=pl.String), flags])

    def sentences(self, row: int) -> list[Sentence]:
        """Up to three places of a row's token, each in another document, that `sources_and_flags` has met so far."""
        return [] if self._places is None else self._places.of(row)

    def close(self) -> None:
        """Have a pass over the corpus that goes on in another thread end soon."""
        self._over.set()

    def _to_look(self, corpus: Corpus) -> Places:
        base = load_tokenizer(self._base)
        script = base.spelling.possible(script_of(self.settings.script))
        everything = build_target(base, Vocabulary.of_table(self._candidates).reachable().frame(), script)
        kept = self.rows["kept"].to_numpy()
        targets = []
        for tokenizer, wanted in ((load_tokenizer(self._folder), kept), (everything, ~kept)):
            ids = self.rows["token"].replace_strict(tokenizer.texts, default=None, return_dtype=pl.Int64)
            there = self.rows.select("row", id=ids).filter(pl.Series(wanted)).drop_nulls()
            rows = np.full(tokenizer.size, -1, dtype=np.int32)
            rows[there["id"].to_numpy()] = there["row"].to_numpy()
            targets.append(Target(tokenizer, rows))
        return Places(corpus, self._reading, targets, len(self.rows), self._over)

    @cached_property
    def _begun(self) -> Begun:
        return Begun.of(load_counted(self._words), self._base, self.settings, self._candidates)

    @cached_property
    def _all_counted(self) -> Recount:
        return self._begun.recount()

    @cached_property
    def _kept(self) -> Vocabulary:
        everything = self._begun.candidates
        return everything.without(self._candidates["why"].is_not_null())

    def _counted_at(self, vocabulary: Vocabulary) -> Recount:
        """The words encoded with a vocabulary: from the last one that was asked for, where it has all of it."""
        last: tuple[Vocabulary, Recount] | None = getattr(self, "_last", None)
        if last is None or (vocabulary.there & ~last[0].there).any():
            last = vocabulary, self._all_counted.copy()
        last[1].count(vocabulary)
        self._last = vocabulary, last[1]
        return last[1]

    def _there(self, rows: Collection[int]) -> pl.Series:
        """The rows of the candidates' table that are these of `rows`, as a set."""
        numbers = pl.Series(list(rows), dtype=pl.UInt32)
        if len(numbers) and int(numbers.max()) >= len(self.rows):  # type: ignore[arg-type]
            raise UsageError(f"there is no row {max(rows)}; wanted 0 to {len(self.rows) - 1}")
        none = pl.repeat(False, len(self._candidates), eager=True, dtype=pl.Boolean)
        return none.scatter(self._row_of.gather(numbers), True)

    def _sums_of(self, vocabulary: Vocabulary, counts: TokenCounts, settings: RefineSettings) -> Sums:
        return self._sums(vocabulary.size, counts.tokens_per_word, counts.bytes_per_token, settings)

    @staticmethod
    def _sums(
        tokens: int, tokens_per_word: float | None, bytes_per_token: float | None, settings: RefineSettings
    ) -> Sums:
        most = settings.max_new_tokens
        return Sums(tokens, tokens_per_word, bytes_per_token, None if most is None else most - tokens)
