"""What refine begins with, whatever its thresholds and decisions: words, a base, candidates."""

import logging
import time
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from kovocab.building.byte_level import missing_scaffolds
from kovocab.building.target import check_kind
from kovocab.counting.word_counts import Counted, check_words, hangul_of, no_tokens
from kovocab.errors import UsageError
from kovocab.refining import intermediate
from kovocab.refining.base_folder import ModelPlan, check_base
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.recount import Recount
from kovocab.refining.rounds import Text
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, Script, script_of
from kovocab.tokenizer.tokenizer import Source, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Begun:
    """What many a refine of the same words may go on from: the intermediate tokenizer is trained once.

    Attributes:
        counted: The words.
        base: Where the base is, and `tokenizer`, the base.
        script: Of new tokens.
        plan: Where a target's `tokenizer.model` is to come from.
        candidates: All of them, none dropped.
        seen: How often the text has each, as a token or in one; by row of the table.
        some: Words of the script; `others` are those without, and special tokens.
        text: How much text the words are.
    """

    counted: Counted
    base: Source
    tokenizer: TokenizerJson
    script: Script
    plan: ModelPlan
    reference: Reference
    candidates: Vocabulary
    seen: pl.Series
    some: pl.DataFrame
    others: pl.DataFrame
    text: Text

    @classmethod
    def of(
        cls, counted: Counted, base: Source, settings: RefineSettings, candidates: pl.DataFrame | None = None
    ) -> "Begun":
        """See that the words and the base go together, and find the candidates.

        Args:
            counted: As for `refine`, and so are `base` and `settings`, of which no threshold counts here.
            base: The base tokenizer.
            settings: How candidates are found.
            candidates: Those that an earlier refine of the same words, base, script and intermediate tokenizer left,
                see `kovocab.refining.fates`; they are trained when None.

        Raises:
            UsageError: as `refine`.
            TokenizerError: the base is of another kind.
        """
        check_words(counted.words)
        tokenizer = load_tokenizer(base)
        check_kind(tokenizer)
        script = tokenizer.spelling.possible(script_of(settings.script))
        plan = check_base(base)  # now, and not after the work
        reference = Reference(tokenizer)  # for the promises at the end: what it cannot read is said now
        if "tokenizer" in counted.record and counted.record["tokenizer"] != tokenizer.digest:
            raise UsageError(
                f"the words were counted for another tokenizer than {tokenizer.name}; count them again with it"
            )
        # A special token is a word of its own, and no text: nothing can be learned from its Hangul.
        special = [token.word for token in tokenizer.added_tokens]
        of_script = pl.col("word").str.contains(f"[{script.characters}]") & ~pl.col("word").is_in(special)
        some, others = counted.words.filter(of_script), counted.words.filter(~of_script)
        text = Text(counted.record.get("words_between_space"), counted.record.get("bytes"))
        if candidates is None:
            vocabulary, seen = _trained(some, tokenizer, script, settings)
        else:
            vocabulary, seen = Vocabulary.of_table(candidates), candidates["seen"]
        if text.words is None:
            log.warning(
                "the word counts do not say how many words stood between white space, so tokens per word are not "
                "known: a file that `kovocab count` wrote says it, a frame of words or a file of an earlier version "
                "does not"
            )
        return cls(counted, base, tokenizer, script, plan, reference, vocabulary, seen, some, others, text)

    @cached_property
    def characters(self) -> pl.Series:
        """How often each row that is a character is seen; 0 of the others."""
        return pl.select(pl.when(self.candidates.table["character"]).then(self.seen).otherwise(0)).to_series()

    def decided(self, decisions: Decisions) -> Vocabulary:
        """The candidates less those that decisions drop; errors as `Decisions.apply`."""
        return decisions.apply(self.candidates, self.tokenizer.texts, self.script)

    def recount(self) -> Recount:
        """All words encoded with all candidates."""
        start = time.perf_counter()
        made = Recount(self.some, self.tokenizer, self.candidates.reachable(), self.others, self.text, self.script)
        log.info("all words encoded: %.3f s", time.perf_counter() - start)
        return made


def _trained(
    some: pl.DataFrame, tokenizer: TokenizerJson, script: Script, settings: RefineSettings
) -> tuple[Vocabulary, pl.Series]:
    """The candidates of an intermediate tokenizer, and how often each is seen."""
    runs = intermediate.training_words(some, script) if script.candidates else some.clear()
    if runs.is_empty():
        said = no_tokens(hangul_of(some)) if script.name == HANGUL.name else None
        raise UsageError(
            f"the word counts hold no word with {script.name} that a token can be made of: "
            f"{said or 'there is nothing to refine'}"
        )
    if script.name != HANGUL.name:
        log.info("min_syllable_count is of single characters of %s as they are: it has no syllables", script.name)
    start = time.perf_counter()
    begin = intermediate.tokens_of(tokenizer, script) if settings.candidates == "continued" else []
    trained = intermediate.train(runs, settings.intermediate_vocab_size, first=begin)
    log.info("intermediate tokenizer: %s tokens, %.1f s", f"{len(trained):,}", time.perf_counter() - start)
    vocabulary = Vocabulary.of(trained, tokenizer.texts, missing_scaffolds(tokenizer, trained["token"]))
    seen = trained.unique("token", keep="first").select("token", "count")
    return vocabulary, vocabulary.by_row(dict(seen.iter_rows())).alias("seen")
