"""What refine begins with, whatever its thresholds: words, a base, and candidates.

Candidates are the tokens of an intermediate tokenizer: BPE learned from word counts, with 64-bit pair counts
(`_core.Learner`). It sees the words that new tokens can stand in and nothing else: an optional `▁` and a run of the
script. Merges never cross a cut, so leaving the rest out changes no merge of the script; it leaves the whole vocabulary
to it.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from kovocab import _core
from kovocab.building.byte_level import missing_scaffolds
from kovocab.building.target import check_kind
from kovocab.counting.tables import Tables, WordCounts, tables
from kovocab.counting.tally import ROWS
from kovocab.counting.word_counts import hangul_of, no_tokens
from kovocab.errors import UsageError
from kovocab.machine.memory import bound
from kovocab.machine.threads import threads_of
from kovocab.refining.base_folder import ModelPlan, check_base
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.recount import Recount
from kovocab.refining.rounds import Text
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, SPACE, Script, script_of
from kovocab.tokenizer.tokenizer import Source, load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson

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

    counted: WordCounts
    base: Source
    tokenizer: TokenizerJson
    script: Script
    plan: ModelPlan
    reference: Reference
    candidates: Vocabulary
    seen: pl.Series
    some: Tables
    others: Tables
    text: Text

    @classmethod
    def of(
        cls,
        counted: WordCounts,
        base: Source,
        settings: RefineSettings,
        candidates: pl.DataFrame | None = None,
        memory: int | str | None = None,
    ) -> "Begun":
        """See that the words and the base go together, and find the candidates.

        Args:
            counted: As for `refine`, and so are `base` and `settings`, of which no threshold counts here.
            base: The base tokenizer.
            settings: How candidates are found.
            candidates: Those that an earlier refine of the same words, base, script and intermediate tokenizer left,
                see `kovocab.refining.fates`; they are trained when None.
            memory: How much memory training uses, see `train`.

        Raises:
            UsageError: as `refine`.
            TokenizerError: the base is of another kind.
        """
        tokenizer = load_tokenizer(base)
        check_kind(tokenizer)
        script = tokenizer.spelling.possible(script_of(settings.script))
        reference = Reference(tokenizer)  # for the promises at the end: what it cannot read is said now
        plan = check_base(base, reference)  # now, and not after the work
        if "tokenizer" in counted.record and counted.record["tokenizer"] != tokenizer.digest:
            raise UsageError(
                f"the words were counted for another tokenizer than {tokenizer.name}; count them again with it"
            )
        # A special token is a word of its own, and no text: nothing can be learned from its Hangul.
        special = [token.word for token in tokenizer.added_tokens]
        of_script = pl.col("word").str.contains(f"[{script.characters}]") & ~pl.col("word").is_in(special)
        some, others = tables(counted).parted(of_script)
        text = Text(counted.record.get("words_between_space"), counted.record.get("bytes"))
        if candidates is None:
            vocabulary, seen = _trained(some, tokenizer, script, settings, memory)
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
    some: Tables, tokenizer: TokenizerJson, script: Script, settings: RefineSettings, memory: int | str | None
) -> tuple[Vocabulary, pl.Series]:
    """The candidates of an intermediate tokenizer, and how often each is seen."""
    start = time.perf_counter()
    begin = tokens_of(tokenizer, script) if settings.candidates == "continued" else []
    words: Iterable[pl.DataFrame] = some if script.candidates else []
    trained = train(words, settings.intermediate_vocab_size, first=begin, script=script, memory=memory)
    if trained.is_empty():
        said = no_tokens(hangul_of(some)) if script.name == HANGUL.name else None
        raise UsageError(
            f"the word counts hold no word with {script.name} that a token can be made of: "
            f"{said or 'there is nothing to refine'}"
        )
    if script.name != HANGUL.name:
        log.info("min_syllable_count is of single characters of %s as they are: it has no syllables", script.name)
    log.info("intermediate tokenizer: %s tokens, %.1f s", f"{len(trained):,}", time.perf_counter() - start)
    vocabulary = Vocabulary.of(trained, tokenizer.texts, missing_scaffolds(tokenizer, trained["token"]))
    if (taken := vocabulary.rows(tokenizer.taken)).any():  # what is found before the merges has their names
        vocabulary = vocabulary.without(taken).reachable()
    seen = trained.unique("token", keep="first").select("token", "count")
    return vocabulary, vocabulary.by_row(dict(seen.iter_rows())).alias("seen")


def training_words(words: pl.DataFrame, script: Script = HANGUL) -> pl.DataFrame:
    """Cut from word counts what new tokens can be: `▁?[Hangul]+`, or another script's, summed.

    Returns:
        `word: str, count: u64`, sorted by word.
    """
    runs = pl.col("word").str.extract_all(script.runs)
    some = words.filter(pl.col("word").str.contains(f"[{script.candidates}]"))
    exploded = some.select(runs, "count").explode("word")
    return exploded.group_by("word").agg(pl.col("count").sum()).sort("word")


def train(
    words: pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame],
    vocab_size: int,
    min_count: int = 1,
    first: Sequence[str] = (),
    script: Script | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
) -> pl.DataFrame:
    """Learn a BPE vocabulary from word counts.

    On the same words and settings the merges are those of `tokenizers.trainers.BpeTrainer`, in the same order, for any
    number of threads and any memory: with less memory the words are read more often.

    Args:
        words: `word: str, count: u64`; merges stay inside a word. A lazy frame, of a file say, is read piece by
            piece: twice, where the words fit in half the memory as symbols, else three times or more. So are tables
            that can be gone through as often.
        vocab_size: Tokens to reach, characters included. All characters are kept even where they are more.
        min_count: Stop at the first pair seen less often.
        first: Tokens to begin with, of which `vocab_size` counts those that can be made: each is merged from the two
            parts that those before it make of it, and passed over where they make another number of parts.
        script: What tokens are made of: runs of its candidates, as `training_words` cuts them. None: words are taken
            as they are.
        threads: How many threads work; one a processor when None.
        memory: How much memory to use, 4GB say; by default half of it.

    Returns:
        `token: str, left: str | null, right: str | null, count: u64`: the characters in code-point order, then a
        row a merge, those of `first` before others, in order.

    Raises:
        UsageError: `vocab_size`, `min_count` or `threads` is less than 1, or `memory` is no size.
    """
    if vocab_size < 1 or min_count < 1:
        raise UsageError(f"vocab_size is {vocab_size} and min_count is {min_count}; wanted 1 or more")
    learner = _core.Learner(
        pl.Series(first, dtype=pl.String), script.every_candidate if script else "",
        vocab_size=vocab_size, min_count=min_count, threads=threads_of(threads), memory=bound(memory) // 2,
    )  # fmt: skip
    held = [words] if isinstance(words, pl.DataFrame) else words
    while learner.again():
        for batch in held.collect_batches(chunk_size=ROWS) if isinstance(held, pl.LazyFrame) else held:
            learner.feed(batch["word"], batch["count"])
    return pl.DataFrame(learner.learned())


def tokens_of(base: TokenizerJson, script: Script) -> list[str]:
    """What a base merges of the script, in the order of its merges: where continued training begins.

    Tokens that a byte-level base never gives are passed over: its pattern parts them, or an added token is in them.
    """
    if not isinstance(base.model, BpeModel):
        return []
    made = dict.fromkeys(base.text_of[base.model.vocab["".join(merge)]] for merge in base.model.merges)
    tokens = [token for token in made if len(token) > 1 and script.can_be_new(token)]
    if not base.spelling.byte_level:
        return tokens
    encoded = Reference(base).encode([token.replace(SPACE, " ") for token in tokens])
    return [token for token, ids in zip(tokens, encoded, strict=True) if ids == [base.texts[token]]]
