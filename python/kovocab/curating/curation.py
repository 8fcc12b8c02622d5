"""The candidates of a refine with all that a person decides by. It knows no page."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from threading import Event

import numpy as np
import polars as pl

from kovocab.building.target import build_target
from kovocab.corpus.settings import TEXT, Reading
from kovocab.curating.choices import Choices
from kovocab.curating.labels import flags, kinds, stems
from kovocab.curating.places import Places, Sentence, Target
from kovocab.reading.documents import Corpus, check_readable
from kovocab.record import read_record
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.fates import read_candidates
from kovocab.refining.refined import check_refined_from
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.script import SPACE, script_of
from kovocab.tokenizer.tokenizer import Source, load_tokenizer


@dataclass(eq=False)
class Curation:
    """A refine to look at and decide on.

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
        choices: What a choice of them comes to.
    """

    rows: pl.DataFrame
    settings: RefineSettings
    decisions: Decisions
    choices: Choices
    _candidates: pl.DataFrame = field(repr=False)
    _base: Source = field(repr=False)
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
        check_refined_from(tokenizer, record, words, base)
        if corpus is not None:
            check_readable(corpus, reading)
        known = {one.name for one in fields(RefineSettings)}
        settings = RefineSettings(**{name: value for name, value in record["settings"].items() if name in known})
        decided = record.get("decisions", {})
        decisions = Decisions(frozenset(decided.get("keep", ())), frozenset(decided.get("drop", ())))
        rows, row_of = _rows_of(candidates, settings)
        choices = Choices(rows, row_of, candidates, Path(words), base, settings, record)
        return cls(rows, settings, decisions, choices, candidates, base, Path(tokenizer), corpus, reading)

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
        """What kind of word each row is, see `labels.kinds`, and what it is to be looked at for besides.

        Returns:
            `kind: str?, flags: list[str]`, by row; None without kiwipiepy.
        """
        found = kinds(self.rows["token"].to_list())
        if found is None:
            return None
        names = pl.Series("flags", [["name"] if person else [] for _, person in found], dtype=pl.List(pl.String))
        return pl.DataFrame([pl.Series("kind", [kind for kind, _ in found], dtype=pl.String), names])

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


def _rows_of(candidates: pl.DataFrame, settings: RefineSettings) -> tuple[pl.DataFrame, pl.Series]:
    """The rows, and of each the row of the candidates' table that it is; see `Curation.rows`."""
    new = candidates.with_row_index("at").filter(~pl.col("base")).sort("count", "token", descending=[True, False])
    rows = new.with_row_index("row")
    number_of = pl.repeat(None, len(candidates), eager=True, dtype=pl.UInt32).scatter(rows["at"], rows["row"])
    pairs = Vocabulary.of_table(candidates).needs().filter(pl.col("row") != pl.col("needed"))
    pairs = pl.DataFrame(
        [number_of.gather(pairs["needed"]).alias("row"), number_of.gather(pairs["row"]).alias("child")]
    )
    children = pairs.drop_nulls().sort("row", "child").group_by("row", maintain_order=True).agg(children="child")
    least = (
        pl.when("character").then(min(settings.min_count, settings.min_syllable_count)).otherwise(settings.min_count)
    )
    of_text = flags(rows["token"], rows["count"], rows.select(least).to_series())
    empty = pl.lit([], dtype=pl.List(pl.String))
    made = (
        rows.join(children, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.col("children").fill_null(pl.lit([], dtype=pl.List(pl.UInt32))),
            of_text,
            pl.Series("stem", stems(rows["token"].to_list(), rows["count"].to_list()), dtype=pl.String),
            rank=pl.col("count").rank("min", descending=True).cast(pl.UInt32),
            length=pl.col("token").str.strip_prefix(SPACE).str.len_chars(),
            kind=pl.lit(None, dtype=pl.String),
            kept=pl.col("why").is_null(),
            why=pl.col("why").cast(pl.String),
            sources=empty,
        )
        .select(
            "row",
            "token",
            "count",
            "seen",
            "rank",
            "length",
            "kind",
            "stem",
            "left",
            "right",
            "children",
            "kept",
            "why",
            "round",
            "flags",
            "sources",
        )
    )
    return made, rows["at"]
