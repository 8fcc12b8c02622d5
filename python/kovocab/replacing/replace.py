"""Replace: new tokens at the ids of base tokens that no text needs; the vocabulary keeps its size.

What T-pro 2.0 and Nemotron's `replace` do (there 5 % of the new tokens cannot be reached): here tokens go in an order
that leaves all others within reach of the merges, and what that costs is counted, not estimated.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import polars as pl

from kovocab.building.rows import listed
from kovocab.building.target import build_target
from kovocab.corpus.faults import POLARS_ERRORS, first_line
from kovocab.counting.tables import opened
from kovocab.counting.token_counts import count_ids
from kovocab.counting.word_counts import read_counted
from kovocab.errors import ArtefactError, TokenizerError, UsageError, quantity
from kovocab.record import Record, check_files, read_record
from kovocab.refining.base_folder import made_plan
from kovocab.refining.candidates import Rows, Vocabulary
from kovocab.refining.fates import read_candidates
from kovocab.refining.intermediate import Begun
from kovocab.refining.refined import check_refined_from
from kovocab.refining.rounds import rarest_leaves
from kovocab.refining.settings import RefineSettings
from kovocab.replacing.choice import choose
from kovocab.replacing.cost import Cost, Text
from kovocab.replacing.exchange import exchange
from kovocab.replacing.order import Making
from kovocab.replacing.replaced import Replaced
from kovocab.replacing.settings import ReplaceSettings
from kovocab.replacing.staying import staying
from kovocab.tokenizer.tokenizer import Source
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)


def replace(
    tokenizer: str | Path,
    words: str | Path,
    base: Source,
    keep: Sequence[str | Path],
    settings: ReplaceSettings | None = None,
    memory: int | str | None = None,
) -> Replaced:
    """Put the new tokens that refine found at the ids of old ones that no text needs.

    Args:
        tokenizer: The folder that refine left.
        words: The word counts that it was refined from: what the new language needs of the base stays.
        base: The base tokenizer that it was refined for.
        keep: Word counts of texts that must not suffer, English and any other, cut for the same base.
        settings: How many, and what it may cost.
        memory: How much memory to use, 4GB say; words that take more than a quarter of it stay in their file. By
            default half of it.

    Raises:
        ArtefactError: the folder is not refine's, of an earlier version, or was changed.
        CorpusError: word counts cannot be read.
        UsageError: words or base are not those of the folder, word counts are of another base or given twice, or no
            token can go.
        TokenizerError: the base cannot be read.
    """
    settings = settings or ReplaceSettings()
    begun, vocabulary, seen, keeping, record = _opened(tokenizer, words, base, keep, memory)
    texts = [Text(Path(words).stem, begun.counted), *_kept(keep, begun.tokenizer, settings.max_english_loss, memory)]
    wanted = vocabulary.size if settings.max_new_tokens is None else min(vocabulary.size, settings.max_new_tokens)
    vocabulary = _fewer(vocabulary, seen, wanted, keeping, "max_new_tokens")
    always = staying(begun.tokenizer, begun.reference, begun.base)
    while True:
        appended = build_target(begun.tokenizer, vocabulary.frame(), begun.script)
        making = Making.of(appended)
        stays = {*always, *(appended.texts[token] for token in vocabulary.frame()["token"])}
        stays |= set(range(begun.tokenizer.size, appended.size))
        costs = [Cost(text, appended, making, begun.script) for text in texts]
        gone = choose(making, stays, costs, vocabulary.size)
        if len(gone) == vocabulary.size:
            break
        log.info("%s can go, and %s are wanted", quantity(len(gone), "old token"), f"{vocabulary.size:,}")
        bound = f"max_english_loss {settings.max_english_loss:g}"
        vocabulary = _fewer(vocabulary, seen, len(gone), keeping, bound)
    made_from: Record = {
        "settings": asdict(settings),
        "tokenizer": record,
        "keep": [{"name": text.name, "words": text.counted.record} for text in texts[1:]],
    }
    return _result(begun, vocabulary, appended, gone, costs, made_from, wanted)


def made_from_of(tokenizer: str | Path, keep: Sequence[str | Path], settings: ReplaceSettings) -> Record:
    """What of the record will say what was replaced, and how; errors as `replace`."""
    kept = [{"name": Path(path).stem, "words": read_counted(path)} for path in keep]
    return {"settings": asdict(settings), "tokenizer": read_record(tokenizer, "refine"), "keep": kept}


def _opened(
    tokenizer: str | Path, words: str | Path, base: Source, keep: Sequence[str | Path], memory: int | str | None
) -> tuple[Begun, Vocabulary, pl.Series, Rows, Record]:
    """What refine began with; what it left, how often each row was emitted, and which a person keeps; its record.

    They are seen to belong together.
    """
    if not keep:
        raise UsageError("wanted --keep with the word counts of a text that must not suffer: English, say")
    names: dict[str, str | Path] = {}
    for path in (words, *keep):
        if (name := Path(path).stem) in names:
            raise UsageError(
                f"{names[name]} and {path} have one name, and numbers are told by it; wanted files of other names"
            )
        names[name] = path
    record = read_record(tokenizer, "refine")
    candidates = read_candidates(Path(tokenizer), record)
    check_files(tokenizer, record)
    check_refined_from(tokenizer, record, words, base)
    refined = RefineSettings(script=record["settings"].get("script", "Hangul"))
    begun = Begun.of(opened(words, memory, len(names)), base, refined, candidates)
    table = Path(tokenizer) / "vocabulary.parquet"
    try:
        there = pl.read_parquet(table, glob=False)["token"]
    except POLARS_ERRORS as error:
        raise ArtefactError(f"{table} cannot be read: {first_line(error)}; wanted it as refine left it") from error
    vocabulary = begun.candidates.without(~begun.candidates.rows(there.to_list()))
    if vocabulary.size != record["new_tokens"]:
        raise UsageError(
            f"{tokenizer} has {vocabulary.size:,} new tokens in its tables and {record['new_tokens']:,} in its record; "
            "refine again"
        )
    if not vocabulary.size:
        raise UsageError(f"{tokenizer} has no new token; wanted at least one to replace an old one")
    keeping = begun.candidates.rows(record.get("decisions", {}).get("keep", ()))
    return begun, vocabulary, candidates["count"], keeping, record


def _kept(keep: Sequence[str | Path], base: TokenizerJson, bound: float, memory: int | str | None) -> list[Text]:
    texts = []
    for path in keep:
        text = Text(Path(path).stem, opened(path, memory, len(keep) + 1), bound)
        if text.counted.record["tokenizer"] != base.digest:
            raise UsageError(f"{path} was counted for another tokenizer than {base.name}; count it again with it")
        texts.append(text)
    return texts


def _fewer(vocabulary: Vocabulary, seen: pl.Series, most: int, keep: Rows, why: str) -> Vocabulary:
    """The vocabulary of at most so many new tokens, as refine's max_new_tokens leaves it."""
    if most >= vocabulary.size:
        return vocabulary
    try:
        fewer = vocabulary.without(rarest_leaves(vocabulary, seen, most, keep)) if most else None
    except UsageError as error:
        raise UsageError(f"{why} leaves room for {quantity(most, 'new token')}, and {error}") from error
    if fewer is None or not fewer.size:  # a character of a byte-level base may need two: itself, and a scaffold
        room = "no new token: no old one can go" if not most else f"{quantity(most, 'id')}, which no new token fits"
        raise UsageError(f"{why} leaves room for {room}; wanted more")
    return fewer


def _check_counts(costs: Sequence[Cost], base: TokenizerJson, target: TokenizerJson) -> None:
    """See that base and target give each text the tokens that were counted before and while tokens went."""
    for cost in costs:
        counted = [(target, cost.tokens)] if cost.text.bound is None else [(base, cost.before), (target, cost.tokens)]
        for tokenizer, tokens in counted:
            if (built := int(count_ids(cost.words, tokenizer)["count"].sum())) != tokens:
                raise TokenizerError(
                    f"{cost.text.name} is {built:,} tokens, and {tokens:,} were counted while old ones went: a fault "
                    "of kovocab"
                )


def _result(
    begun: Begun,
    vocabulary: Vocabulary,
    appended: TokenizerJson,
    gone: Sequence[int],
    costs: Sequence[Cost],
    made_from: Record,
    wanted: int,
) -> Replaced:
    base, plan, target = begun.tokenizer, begun.plan, exchange(appended, gone)
    _check_counts(costs, base, target)
    if plan.source == "ranks" and plan.why is not None:
        plan = made_plan(target, plan.why)
    emitted = [
        [count_ids(cost.text.words, tokenizer)["count"] for tokenizer in (base, appended, target)] for cost in costs
    ]
    by_target, free = emitted[0][2], sorted(gone)
    counts = pl.DataFrame({cost.text.name: by[0].gather(free) for cost, by in zip(costs, emitted, strict=True)})
    replaced = pl.DataFrame(
        {
            "id": pl.Series(free, dtype=pl.UInt32),
            "old": [base.text_of[i] for i in free],
            "old_count": counts.sum_horizontal(),
            "new": [target.text_of[i] for i in free],
            "new_count": by_target.gather(free),
        }
    )
    record: Record = {
        "verb": "replace",
        "kovocab": version("kovocab"),
        "tokenizers": version("tokenizers"),
        "base": made_from["tokenizer"]["base"],
        "base_tokenizer": base.digest,
        "target_tokenizer": target.digest,
        "size": target.size,
        "new_tokens": len(gone),
        "wanted": wanted,
        "scaffolds": len(vocabulary.scaffolds),
        "never_emitted": int((replaced["old_count"] == 0).sum()),
        "texts": [_told(cost, free, *by) for cost, by in zip(costs, emitted, strict=True)],
        **made_from,
    } | plan.record
    table = listed(vocabulary.frame(), vocabulary.scaffolds, base, target)
    table = table.with_columns(by_target.gather(table["id"]).alias("count"), pl.col("id").is_in(free).alias("new"))
    table = table.select("id", "token", "left", "right", "count", "base_pieces", "new")
    texts = [cost.text for cost in costs]
    return Replaced(table, replaced, target, record, begun.base, begun.reference, appended, texts, begun.script)


def _told(cost: Cost, gone: list[int], base: pl.Series, appended: pl.Series, target: pl.Series) -> Record:
    """What a record says of a text.

    Its tokens by each tokenizer, how many of the base's were of those that went, and what its words without the script
    lost.
    """
    told: Record = {"name": cost.text.name, "base_tokens_gone": int(base.gather(gone).sum())}
    for name, counts in (("base_", base), ("appended_", appended), ("", target)):
        tokens = int(counts.sum())
        told |= {f"{name}tokens": tokens, f"{name}tokens_per_word": cost.text.tokens_per_word(tokens)}
    if cost.text.bound is None:
        return told | {"loss": None}
    return told | {"other_tokens_before": cost.before, "other_tokens": cost.tokens, "loss": cost.loss}
