"""Refine: drop and add until the vocabulary stands still. The corpus is not read: word counts hold all it needs.

Steps 2 to 7 of the model cards. A round is a pure function from one vocabulary to the next, and `refine` folds
it. Every round builds the target tokenizer for real and counts what that emits.
"""

import logging
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import tokenizers

from kovocab import bpe, promises
from kovocab.artefact import Record, new_folder, write_record
from kovocab.counts import Counted, check_words, count_tokens, digest
from kovocab.errors import CycleError, TokenizerError, UsageError
from kovocab.hangul import CANDIDATE
from kovocab.rounds import Round, State, TokenCounts, turn
from kovocab.settings import RefineSettings
from kovocab.tokenizer import Source, base_pieces, build_target, first_new_id, load_tokenizer, save_tokenizer
from kovocab.vocabulary import Decisions, Vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refined:
    """What refine leaves.

    Attributes:
        vocabulary: `id: u32, token: str, left: str?, right: str?, count: u64, base_pieces: list[u32]`, by id; a
            token that the base has keeps the base's id.
        tokenizer: The target tokenizer.
        rounds: A row a `Round`.
        record: Settings, sums, the base, versions, and the record of the word counts.
    """

    vocabulary: pl.DataFrame
    tokenizer: tokenizers.Tokenizer
    rounds: pl.DataFrame
    record: Record
    _base: Source = field(repr=False)
    _words: pl.DataFrame = field(repr=False)

    def save(self, folder: str | Path) -> Record:
        """Write the tokenizer, `vocabulary.parquet`, `rounds.parquet` and the record; check what was written.

        Nothing is left behind where a promise does not hold.

        Returns:
            The record, with how much each promise was checked on.

        Raises:
            ArtefactError: something that is not an artefact is in the way.
            TokenizerError: the saved tokenizer breaks a promise; says which, and by what.
        """
        with new_folder(folder) as beside:
            save_tokenizer(self.tokenizer, beside, base_source=self._base, vocabulary=self.vocabulary)
            self.vocabulary.write_parquet(beside / "vocabulary.parquet")
            self.rounds.write_parquet(beside / "rounds.parquet")
            record = self.record | {"promises": self._check(beside)}
            write_record(beside, record)
        return record

    def summary(self) -> str:
        """The rounds as lines, and what came out."""
        kept, below = self.record["new_tokens"], self.record["below_min_count"]
        stones = f", {below:,} of them seen less than min_count times" if below else ""
        base = f"base: {self.record['base_tokens_per_word']:.3f} tokens per word"
        rounds = [str(Round(**row)) for row in self.record["rounds"]]
        return "\n".join([base, *rounds, f"{kept:,} new tokens{stones}"])

    def _check(self, folder: Path) -> dict[str, int]:
        model = folder / "tokenizer.model"
        checked = promises.check_promises(
            load_tokenizer(self._base),
            load_tokenizer(folder),
            _texts(self._words),
            self.vocabulary,
            model.read_bytes() if model.is_file() else None,
        )
        silent = self.vocabulary.filter(pl.col("id") >= self.record["first_new_id"], pl.col("count") == 0)
        stems = {*self.vocabulary["left"], *self.vocabulary["right"]}
        for token in silent["token"]:
            if token not in stems:
                raise TokenizerError(f"promise 3, reachable: the new token {token!r} is nowhere emitted in the corpus")
        return checked | {"stepping_stones_never_emitted": len(silent)}


def refine(
    words: Counted | pl.DataFrame,
    base: Source,
    settings: RefineSettings | None = None,
    decisions: Decisions | None = None,
) -> Refined:
    """Turn the drop-and-add loop until the vocabulary stands still.

    Args:
        words: Word counts, as `count` or `count_words` leave them, cut for `base`.
        base: The tokenizer that the model came with; SentencePiece-style.
        settings: Thresholds and sizes; the cards' when None.
        decisions: Tokens to keep or drop whatever their count.

    Raises:
        UsageError: `words` are no word counts, hold no Hangul or (of a `Counted`, which says) were counted for
            another tokenizer; or decisions contradict themselves, or `max_new_tokens`.
        TokenizerError: the base is not SentencePiece-style.
        CycleError: an earlier vocabulary came back; names the rounds.
    """
    settings, decisions = settings or RefineSettings(), decisions or Decisions()
    counted = words if isinstance(words, Counted) else Counted(words, {"verb": "count", "corpus": {"kind": "memory"}})
    check_words(counted.words)
    tokenizer = load_tokenizer(base)
    if "tokenizer" in counted.record and counted.record["tokenizer"] != digest(tokenizer):
        raise UsageError("the words were counted for another tokenizer than this base; count them again with it")
    # A special token is a word of its own, and no text: nothing can be learned from its Hangul.
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    hangul = counted.words.filter(pl.col("word").str.contains(f"[{CANDIDATE}]") & ~pl.col("word").is_in(special))
    if hangul.is_empty():
        raise UsageError("the word counts hold no word with Hangul: there is nothing to refine")
    start = time.perf_counter()
    trained = bpe.train(bpe.training_words(hangul), settings.intermediate_vocab_size)
    log.info("intermediate tokenizer: %s tokens, %.1f s", f"{len(trained):,}", time.perf_counter() - start)
    vocabulary = decisions.apply(Vocabulary.of(trained, tokenizer.get_vocab(with_added_tokens=True)))

    state = State(vocabulary, decisions.drop)
    characters, size = _characters(hangul), _Size.of(hangul)
    rounds: list[Round] = []
    seen: dict[tuple[frozenset[str], frozenset[str]], int] = {}
    while True:
        start = time.perf_counter()
        counts = _count(hangul, size, tokenizer, state.vocabulary.reachable())
        after, row = turn(state, counts, characters, settings, decisions.keep, number=len(rounds) + 1)
        rounds.append(row)
        log.info("round %d: %.1f s", row.round, time.perf_counter() - start)
        if not row.unreachable + row.dropped + row.added:
            break
        key = (frozenset(after.vocabulary.parts), after.barred)
        if key in seen:
            raise CycleError(f"round {row.round} came back to the vocabulary of round {seen[key]}; it would never end")
        seen[key] = row.round
        state = after
    return _result(state.vocabulary, hangul, size, counts, tokenizer, base, counted, settings, decisions, rounds)


class _Size(NamedTuple):
    """How much text word counts stand for."""

    words: int
    bytes: int

    @classmethod
    def of(cls, words: pl.DataFrame) -> "_Size":
        # A space is one byte of text, and three as ▁.
        length = pl.col("word").str.len_bytes() - 2 * pl.col("word").str.count_matches("▁")
        return cls(int(words["count"].sum()), int(words.select((length * pl.col("count")).sum()).item()))


def _count(words: pl.DataFrame, size: _Size, base: tokenizers.Tokenizer, vocabulary: Vocabulary) -> TokenCounts:
    target = build_target(base, vocabulary.frame())
    table = count_tokens(words, target)
    emitted = int(table["count"].sum())
    by_token = dict(zip(table["token"], table["count"], strict=True))
    return TokenCounts(by_token, emitted / size.words, size.bytes / emitted)


def _characters(words: pl.DataFrame) -> dict[str, int]:
    """How often each character that may be a token is seen."""
    found = words.select(pl.col("word").str.extract_all(f"[{CANDIDATE}]"), "count").explode("word")
    return dict(found.group_by("word").agg(pl.col("count").sum()).iter_rows())


def _result(
    vocabulary: Vocabulary,
    hangul: pl.DataFrame,
    size: "_Size",
    counts: TokenCounts,
    tokenizer: tokenizers.Tokenizer,
    base: Source,
    counted: Counted,
    settings: RefineSettings,
    decisions: Decisions,
    rounds: list[Round],
) -> Refined:
    frame = vocabulary.frame()
    target = build_target(tokenizer, frame)
    before = _count(hangul, size, tokenizer, Vocabulary({}, vocabulary.base))
    ids = target.get_vocab(with_added_tokens=True)
    table = frame.with_columns(
        pl.Series("id", [ids[token] for token in frame["token"]], dtype=pl.UInt32),
        pl.Series("count", [counts.by_token[token] for token in frame["token"]], dtype=pl.UInt64),
        pl.Series("base_pieces", base_pieces(tokenizer, frame["token"].to_list()), dtype=pl.List(pl.UInt32)),
    ).select("id", "token", "left", "right", "count", "base_pieces")
    rows: list[dict[str, Any]] = [asdict(row) for row in rounds]
    record: Record = {
        "verb": "refine",
        "kovocab": version("kovocab"),
        "tokenizers": version("tokenizers"),
        "settings": asdict(settings),
        "decisions": {"keep": sorted(decisions.keep), "drop": sorted(decisions.drop)},
        "base": base.name if isinstance(base, Path) else Path(base).name if isinstance(base, str) else "memory",
        "base_tokenizer": digest(tokenizer),
        "target_tokenizer": digest(target),
        "first_new_id": first_new_id(tokenizer),
        "new_tokens": len(vocabulary.new),
        "base_tokens_per_word": before.tokens_per_word,
        "base_bytes_per_token": before.bytes_per_token,
        "below_min_count": sum(counts.by_token[token] < settings.min_count for token in vocabulary.new),
        "rounds": rows,
        "words": counted.record,
    }
    return Refined(table, target, pl.DataFrame(rows), record, base, counted.words)


def _texts(words: pl.DataFrame, lines: int = 4000, length: int = 40) -> list[str]:
    """Words of the corpus, evenly from the most frequent to the rarest, put together as lines to check on.

    A line is of words with Hangul or of words without: the latter have to be encoded as before.
    """
    texts = []
    for has_hangul in (True, False):
        some = words.filter(pl.col("word").str.contains(f"[{CANDIDATE}]") == has_hangul)["word"]
        some = some.gather_every(max(1, len(some) // (lines * length)))
        texts += ["".join(some[at : at + length]).replace("▁", " ") for at in range(0, len(some), length)]
    return texts
