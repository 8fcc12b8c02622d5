"""Refine: drop and add until the vocabulary stands still. The corpus is not read: word counts hold all it needs.

Steps 2 to 7 of the model cards. A round is a pure function from one vocabulary to the next, and `refine` folds
it. What the target of a round emits is counted by encoding again what the round before changed (`recount`); the
last one is built for real, and has to emit just that.
"""

import logging
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.building.rows import listed
from kovocab.building.target import build_target
from kovocab.counting.tables import WordCounts, bytes_of, opened, tables
from kovocab.counting.tally import no_overflow
from kovocab.errors import CycleError, UsageError, quantity
from kovocab.record import Record
from kovocab.refining.base_folder import made_plan
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.fates import Fates
from kovocab.refining.intermediate import Begun
from kovocab.refining.recount import Recount
from kovocab.refining.refined import Refined, made_from_of
from kovocab.refining.rounds import Round, State, TokenCounts, turn
from kovocab.refining.settings import CARDS, RefineSettings, suited_min_count
from kovocab.tokenizer.tokenizer import Source

log = logging.getLogger(__name__)


@no_overflow()
def refine(
    words: WordCounts | pl.DataFrame | str | Path,
    base: Source,
    settings: RefineSettings | None = None,
    decisions: Decisions | None = None,
    memory: int | str | None = None,
) -> Refined:
    """Turn the drop-and-add loop until the vocabulary stands still.

    Args:
        words: Word counts, as `count` or `count_words` leave them, cut for `base`; or their file, which is read as
            often as it takes where its words would be more than a quarter of `memory`.
        base: The tokenizer that the model came with; SentencePiece-style or byte-level.
        settings: Thresholds and sizes; the cards' when None.
        decisions: Tokens to keep or drop whatever their count.
        memory: How much memory to use, 4GB say; by default half of it. The result is the same with any.

    Raises:
        CorpusError: the file of word counts cannot be read.
        UsageError: `words` are no word counts, hold nothing of the script or (of a `Counted`, which says) were counted
            for another tokenizer; or there is no such script; or decisions contradict themselves, or `max_new_tokens`.
        TokenizerError: the base is of another kind.
        CycleError: an earlier vocabulary came back; names the rounds.
    """
    settings, decisions = settings or RefineSettings(), decisions or Decisions()
    if not isinstance(settings, RefineSettings) or not isinstance(decisions, Decisions):
        raise UsageError(f"settings are {settings!r} and decisions {decisions!r}; wanted RefineSettings and Decisions")
    begun = Begun.of(opened(words, memory), base, settings, memory=memory)
    return refine_from(begun, begun.recount(), settings, decisions)


def refine_from(begun: Begun, recount: Recount, settings: RefineSettings, decisions: Decisions) -> Refined:
    """`refine`, from candidates that are known: what they were found by is the same in `settings`.

    `recount` is one of all candidates, which is changed.
    """
    turned = turn_until_still(begun, recount, settings, decisions)
    result = _result(begun, turned, settings, decisions)
    if said := _ill_suited(settings, result.record["new_tokens"], begun.counted):
        log.warning("%s", said)
    return result


@dataclass(frozen=True, eq=False)
class Turned:
    """The fixpoint.

    Attributes:
        vocabulary: What is left.
        counts: What its target emits.
        rounds: That led there.
        fates: What became of each candidate.
        recount: What counted, as it stands.
    """

    vocabulary: Vocabulary
    counts: TokenCounts
    rounds: list[Round]
    fates: Fates
    recount: Recount


def turn_until_still(
    begun: Begun, recount: Recount, settings: RefineSettings, decisions: Decisions, told: int = logging.INFO
) -> Turned:
    """Drop and add until nothing changes, with a `recount` of all candidates that is changed; errors as `refine`.

    `told` is the level at which rounds are logged.
    """
    states = [State(begun.decided(decisions), begun.candidates.rows(decisions.drop))]
    keep = begun.candidates.rows(decisions.keep)
    whole = begun.candidates.reachable()
    fates = Fates.begin(whole, recount.count(whole).by_row, states[0].vocabulary)
    rounds: list[Round] = []
    while True:
        start = time.perf_counter()
        counts = recount.count(states[-1].target)
        after, row = turn(states[-1], counts, begun.characters, settings, keep, number=len(states))
        fates = fates.after(states[-1], counts.by_row, after, settings, row.round)
        rounds.append(row)
        log.log(told, "round %d: %.4f s", row.round, time.perf_counter() - start)
        if not row.unreachable + row.dropped + row.added:
            return Turned(states[-1].vocabulary, counts, rounds, fates, recount)
        for number, earlier in enumerate(states[1:], start=1):
            if earlier.equals(after):
                raise CycleError(f"round {row.round} came back to the vocabulary of round {number}; it would never end")
        states.append(after)


def _result(begun: Begun, turned: Turned, settings: RefineSettings, decisions: Decisions) -> Refined:
    tokenizer, base, script, plan = begun.tokenizer, begun.base, begun.script, begun.plan
    vocabulary, counts, recount = turned.vocabulary, turned.counts, turned.recount
    frame, scaffolds = vocabulary.frame(), vocabulary.scaffolds
    target = build_target(tokenizer, frame, script)
    recount.check(target)
    if plan.source == "ranks" and plan.why is not None:
        plan = made_plan(target, plan.why)
    before = recount.count_base()
    emitted = pl.concat([counts.by_row.filter(vocabulary.there), recount.emitted(scaffolds)])
    table = listed(frame, scaffolds, begun.reference, target).with_columns(emitted.alias("count"))
    table = table.select("id", "token", "left", "right", "count", "base_pieces")
    candidates = turned.fates.frame(begun.candidates, begun.seen)
    made_from = made_from_of(begun.counted, tokenizer, settings, decisions)
    rows: list[dict[str, Any]] = [asdict(row) for row in turned.rounds]
    record: Record = {
        "verb": "refine",
        "kovocab": version("kovocab"),
        "tokenizers": version("tokenizers"),
        "settings": made_from["settings"],
        "decisions": made_from["decisions"],
        "base": base.name if isinstance(base, Path) else Path(base).name if isinstance(base, str) else "memory",
        "base_tokenizer": made_from["base_tokenizer"],
        "target_tokenizer": target.digest,
        "first_new_id": tokenizer.size,
        "new_tokens": vocabulary.size,
        "scaffolds": len(scaffolds),
        "candidates": int((~candidates["base"]).sum()),
        "base_tokens_per_word": before.tokens_per_word,
        "base_bytes_per_token": before.bytes_per_token,
        "below_min_count": int((vocabulary.new & (counts.by_row < settings.min_count)).sum()),
        "rounds": rows,
        "words": made_from["words"],
    } | plan.record
    ratios = {"tokens_per_word": pl.Float64, "bytes_per_token": pl.Float64}
    frame = pl.DataFrame(rows, schema_overrides=ratios)
    return Refined(table, target, frame, candidates, record, base, begun.reference, tables(begun.counted), script)


def _ill_suited(settings: RefineSettings, new_tokens: int, counted: WordCounts) -> str | None:
    """Say that the thresholds are not for so little text, and what would suit; None where they are."""
    size = bytes_of(counted)
    suits, least = suited_min_count(size), settings.min_count
    found = f"{quantity(new_tokens, 'new token')} from {size / 1e6:,.1f} MB of text"
    if least > suits and (new_tokens == 0 or (least > 2 * suits and suits < CARDS)):
        return (
            f"{found}: min_count is {least:,}, which is much for it (the cards' {CARDS:,} is for 100 GB); "
            f"{suits:,} would suit, of min_syllable_count too"
        )
    if new_tokens:
        return None
    stems = "" if settings.prune == "leaf" else ", with all that it is made of (prune leaf keeps that)"
    return f"{found}: none that the base lacks is emitted {quantity(least, 'time')}{stems}"
