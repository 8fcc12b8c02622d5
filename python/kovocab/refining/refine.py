"""Refine: drop and add until the vocabulary stands still. The corpus is not read: word counts hold all it needs.

Steps 2 to 7 of the model cards. A round is a pure function from one vocabulary to the next, and `refine` folds
it. What the target of a round emits is counted by encoding again what the round before changed (`recount`); the
last one is built for real, and has to emit just that.
"""

import logging
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.building.byte_level import missing_scaffolds
from kovocab.building.target import build_target, check_kind
from kovocab.counting.word_counts import Counted, check_words, hangul_of, no_tokens, of_frame
from kovocab.errors import CycleError, UsageError, quantity
from kovocab.record import Record
from kovocab.refining import intermediate
from kovocab.refining.base_folder import ModelPlan, check_base, made_plan
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.recount import Recount
from kovocab.refining.refined import Refined, made_from_of
from kovocab.refining.rounds import Round, State, Text, TokenCounts, turn
from kovocab.refining.settings import CARDS, RefineSettings, suited_min_count
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, Script, script_of
from kovocab.tokenizer.tokenizer import Source, base_pieces, load_tokenizer

log = logging.getLogger(__name__)


def refine(
    words: Counted | pl.DataFrame,
    base: Source,
    settings: RefineSettings | None = None,
    decisions: Decisions | None = None,
) -> Refined:
    """Turn the drop-and-add loop until the vocabulary stands still.

    Args:
        words: Word counts, as `count` or `count_words` leave them, cut for `base`.
        base: The tokenizer that the model came with; SentencePiece-style or byte-level.
        settings: Thresholds and sizes; the cards' when None.
        decisions: Tokens to keep or drop whatever their count.

    Raises:
        UsageError: `words` are no word counts, hold nothing of the script or (of a `Counted`, which says) were counted
            for another tokenizer; or there is no such script; or decisions contradict themselves, or `max_new_tokens`.
        TokenizerError: the base is of another kind.
        CycleError: an earlier vocabulary came back; names the rounds.
    """
    settings, decisions = settings or RefineSettings(), decisions or Decisions()
    counted = words if isinstance(words, Counted) else of_frame(words)
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
    runs = intermediate.training_words(some, script) if script.candidates else some.clear()
    if runs.is_empty():
        said = no_tokens(hangul_of(some)) if script.name == HANGUL.name else None
        raise UsageError(
            f"the word counts hold no word with {script.name} that a token can be made of: "
            f"{said or 'there is nothing to refine'}"
        )
    if script.name != HANGUL.name:
        log.info("min_syllable_count is of single characters of %s as they are: it has no syllables", script.name)
    text = Text(counted.record.get("words_between_space"), counted.record.get("bytes"))
    if text.words is None:
        log.warning(
            "the word counts do not say how many words stood between white space, so tokens per word are not known: "
            "a file that `kovocab count` wrote says it, a frame of words or a file of an earlier version does not"
        )
    start = time.perf_counter()
    begin = intermediate.tokens_of(tokenizer, script) if settings.candidates == "continued" else []
    trained = intermediate.train(runs, settings.intermediate_vocab_size, first=begin)
    log.info("intermediate tokenizer: %s tokens, %.1f s", f"{len(trained):,}", time.perf_counter() - start)
    candidates = Vocabulary.of(trained, tokenizer.texts, missing_scaffolds(tokenizer, trained["token"]))
    seen = trained.filter(pl.col("left").is_null()).select("token", "count")
    characters = candidates.by_row(dict(seen.iter_rows()))
    keep = candidates.rows(decisions.keep)

    states = [State(decisions.apply(candidates, tokenizer.texts, script), candidates.rows(decisions.drop))]
    start = time.perf_counter()
    recount = Recount(some, tokenizer, states[0].target, others, text, script)
    log.info("all words encoded: %.3f s", time.perf_counter() - start)
    rounds: list[Round] = []
    while True:
        start = time.perf_counter()
        counts = recount.count(states[-1].target)
        after, row = turn(states[-1], counts, characters, settings, keep, number=len(states))
        rounds.append(row)
        log.info("round %d: %.4f s", row.round, time.perf_counter() - start)
        if not row.unreachable + row.dropped + row.added:
            break
        for number, earlier in enumerate(states[1:], start=1):
            if earlier.equals(after):
                raise CycleError(f"round {row.round} came back to the vocabulary of round {number}; it would never end")
        states.append(after)
    result = _result(
        states[-1].vocabulary, recount, counts, reference, base, counted, settings, decisions, rounds, plan, script
    )
    if said := _ill_suited(settings, result.record["new_tokens"], counted):
        log.warning("%s", said)
    return result


def _result(
    vocabulary: Vocabulary,
    recount: Recount,
    counts: TokenCounts,
    reference: Reference,
    base: Source,
    counted: Counted,
    settings: RefineSettings,
    decisions: Decisions,
    rounds: list[Round],
    plan: ModelPlan,
    script: Script,
) -> Refined:
    tokenizer, frame, scaffolds = reference.document, vocabulary.frame(), vocabulary.scaffolds
    target = build_target(tokenizer, frame, script)
    recount.check(target)
    if plan.source == "ranks" and plan.why is not None:
        plan = made_plan(target, plan.why)
    before = recount.count_base()
    ids = target.texts
    emitted = pl.concat([counts.by_row.filter(vocabulary.there), recount.emitted(scaffolds)])
    frame = pl.concat([frame, pl.DataFrame({"token": scaffolds}, {"token": pl.String})], how="diagonal")
    table = frame.with_columns(
        emitted.alias("count"),
        pl.Series("id", [ids[token] for token in frame["token"]], dtype=pl.UInt32),
        pl.Series("base_pieces", base_pieces(tokenizer, frame["token"].to_list()), dtype=pl.List(pl.UInt32)),
    ).select("id", "token", "left", "right", "count", "base_pieces")
    made_from = made_from_of(counted, tokenizer, settings, decisions)
    rows: list[dict[str, Any]] = [asdict(row) for row in rounds]
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
        "base_tokens_per_word": before.tokens_per_word,
        "base_bytes_per_token": before.bytes_per_token,
        "below_min_count": int((vocabulary.new & (counts.by_row < settings.min_count)).sum()),
        "rounds": rows,
        "words": made_from["words"],
    } | plan.record
    ratios = {"tokens_per_word": pl.Float64, "bytes_per_token": pl.Float64}
    frame = pl.DataFrame(rows, schema_overrides=ratios)
    return Refined(table, target, frame, record, base, reference, counted.words, script)


def _ill_suited(settings: RefineSettings, new_tokens: int, counted: Counted) -> str | None:
    """Say that the thresholds are not for so little text, and what would suit; None where they are."""
    size = counted.record.get("bytes")
    if size is None:  # about as much
        size = int(counted.words.select((pl.col("word").str.len_bytes() * pl.col("count")).sum()).item())
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
