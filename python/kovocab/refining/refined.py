"""What refine leaves: the target tokenizer, its vocabulary, the rounds; saved and held to its promises."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from kovocab.artefact import check_replaceable, new_folder
from kovocab.building import promises
from kovocab.building.saving import save_tokenizer
from kovocab.counting.tables import Tables, WordCounts
from kovocab.counting.word_counts import read_counted
from kovocab.errors import TokenizerError, UsageError, quantity
from kovocab.record import Record, difference, read_record, write_record
from kovocab.refining.base_folder import NO_MODEL, ModelPlan
from kovocab.refining.candidates import Decisions
from kovocab.refining.fates import CANDIDATES
from kovocab.refining.rounds import Round, ratio
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.reference import Reference, Tokenizer
from kovocab.tokenizer.script import Script
from kovocab.tokenizer.tokenizer import Source, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

_MADE_FROM = ("settings", "decisions", "base_tokenizer", "words")
"""The keys of the record that say what was refined, and how."""


@dataclass(frozen=True)
class Refined:
    """What refine leaves.

    Attributes:
        vocabulary: `id: u32, token: str, left: str?, right: str?, count: u64, base_pieces: list[u32]`, by id; a
            token that the base has keeps the base's id. A scaffold (`kovocab.building.byte_level`), which is no text,
            is written `<0xEA><0xB0>` and has null parts.
        target: The target tokenizer.
        rounds: A row a `Round`.
        candidates: What became of each candidate, as `fates.read_candidates` has it.
        record: Settings, sums, the base, versions, and the record of the word counts.
    """

    vocabulary: pl.DataFrame
    target: TokenizerJson
    rounds: pl.DataFrame
    candidates: pl.DataFrame = field(repr=False)
    record: Record
    _base: Source = field(repr=False)
    _reference: Reference = field(repr=False)
    _words: Tables = field(repr=False)
    _script: Script = field(repr=False)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The target tokenizer as the library `tokenizers` has it, to encode with."""
        return Reference(self.target).library

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Record:
        """Write the tokenizer, its tables (vocabulary, rounds, candidates) and the record; check what was written.

        Nothing is left behind where a promise does not hold.

        Args:
            folder: Where to write. What an earlier refine left there, of the same words, base and settings, is
                replaced; what else is in the folder stays.
            overwrite: Whether that of other words or settings is replaced too.

        Returns:
            The record, with how much each promise was checked on.

        Raises:
            ArtefactError: something else is in the way, see `check_replaceable`.
            TokenizerError: the saved tokenizer breaks a promise; says which, and by what.
        """
        made_from = {key: self.record[key] for key in _MADE_FROM}
        with new_folder(folder, made_from, overwrite=overwrite) as beside:
            plan = ModelPlan.of(self.record)
            save_tokenizer(
                self.target,
                beside,
                base_source=self._base,
                vocabulary=self.vocabulary,
                script=self._script,
                model_from=plan.source,
            )
            self.vocabulary.write_parquet(beside / "vocabulary.parquet")
            self.rounds.write_parquet(beside / "rounds.parquet")
            self.candidates.write_parquet(beside / CANDIDATES)
            write_record(beside, self.record | {"promises": self._check(beside)})
        return read_record(folder)

    def summary(self) -> str:
        """The rounds as lines, and what came out."""
        kept, below = self.record["new_tokens"], self.record["below_min_count"]
        stones = f", {below:,} of them seen less than min_count times" if below else ""
        if held := self.record["scaffolds"]:
            stones += f", {quantity(held, 'scaffold')} (the first two bytes of characters, no text) among them"
        base = f"base: {ratio(self.record['base_tokens_per_word'])} tokens per word"
        rounds = [str(Round(**row)) for row in self.record["rounds"]]
        plan = ModelPlan.of(self.record)
        how = "made from the ranks of tokenizer.json" if plan.source == "ranks" else "left out"
        said = [] if plan.why in (None, NO_MODEL) else [f"tokenizer.model is {how}: {plan.why}"]
        return "\n".join([base, *rounds, f"{quantity(kept, 'new token')}{stones}", *said])

    def _check(self, folder: Path) -> dict[str, int]:
        model = folder / "tokenizer.model"
        checked = promises.check_promises(
            self._reference,
            Reference(load_tokenizer(folder), once=True),
            texts_of(self._words, self._script),
            self.vocabulary,
            model.read_bytes() if model.is_file() else None,
            self._script,
        )
        silent = self.vocabulary.filter(pl.col("id") >= self.record["first_new_id"], pl.col("count") == 0)
        stems = {
            *self.vocabulary["left"],
            *self.vocabulary["right"],
            *self.vocabulary["token"].tail(self.record["scaffolds"]),
        }
        for token in silent["token"]:
            if token not in stems:
                raise TokenizerError(f"promise 3, reachable: the new token {token!r} is nowhere emitted in the corpus")
        return checked | {"stepping_stones_never_emitted": len(silent)}


def check_out(
    folder: str | Path,
    words: WordCounts,
    base: Source,
    settings: RefineSettings,
    decisions: Decisions,
    *,
    overwrite: bool = False,
    reads: Iterable[str | Path] = (),
) -> None:
    """Check, before the work, that what `refine` gives for the same arguments may be saved in `folder`.

    Args:
        folder: Where it is to be saved.
        words: As for `refine`, and so are `base`, `settings` and `decisions`.
        base: The base tokenizer.
        settings: Thresholds and sizes.
        decisions: Tokens to keep or drop.
        overwrite: As for `Refined.save`.
        reads: Files and folders that these came from.

    Raises:
        ArtefactError: it may not; says why.
        TokenizerError: `base` cannot be read.
    """
    made_from = made_from_of(words, load_tokenizer(base), settings, decisions)
    check_replaceable(folder, "refine", made_from, overwrite=overwrite, reads=reads)


def made_from_of(words: WordCounts, base: TokenizerJson, settings: RefineSettings, decisions: Decisions) -> Record:
    """What of the record says what was refined, and how."""
    made_from: Record = {
        "settings": asdict(settings),
        "decisions": {"keep": sorted(decisions.keep), "drop": sorted(decisions.drop)},
        "base_tokenizer": base.digest,
        "words": words.record,
    }
    return made_from


def check_refined_from(folder: str | Path, record: Record, words: str | Path, base: Source) -> None:
    """Check that what refine left in a folder, by its record, is of these word counts and this base.

    Raises:
        CorpusError: the words cannot be read.
        TokenizerError: the base cannot be read.
        UsageError: it is of others; says how they differ.
    """
    if differs := difference(record["words"], read_counted(words)):
        raise UsageError(f"{words} is not what {folder} was refined from: {differs}")
    if (digest := load_tokenizer(base).digest) != record.get("base_tokenizer"):
        raise UsageError(
            f"{folder} was refined for another base than {base}: base_tokenizer was "
            f"{record.get('base_tokenizer')} and is {digest}"
        )


def texts_of(words: Tables, script: Script, lines: int = 4000, length: int = 40) -> list[str]:
    """Words of the corpus, evenly from the most frequent to the rarest, put together as lines to check on.

    A line is of words with the script or of words without: the latter have to be encoded as before.
    """
    texts: list[str] = []
    for kind in words.parted(pl.col("word").str.contains(f"[{script.characters}]")):
        every = max(1, sum(map(len, kind)) // (lines * length))
        chosen, at = list[str](), 0
        for table in kind:
            chosen += table["word"].gather_every(every, -at % every).to_list()
            at += len(table)
        texts += ("".join(chosen[at : at + length]).replace("▁", " ") for at in range(0, len(chosen), length))
    return texts
