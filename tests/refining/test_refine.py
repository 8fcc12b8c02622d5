"""Refine: what comes out is the slow twin's token for token, a fixpoint, within its thresholds, and saved whole."""

import dataclasses
import json
import os
import random
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tokenizers

import kovocab
from kovocab import RefineSettings, count_tokens, count_words, refine
from kovocab.building.target import build_target
from kovocab.cli.main import main
from kovocab.counting.count import count
from kovocab.counting.word_counts import Counted
from kovocab.errors import ArtefactError, CycleError, TokenizerError, UsageError
from kovocab.evaluating.fertility import fertility
from kovocab.example.text import sample_documents
from kovocab.record import write_record
from kovocab.refining.candidates import Decisions, Vocabulary
from kovocab.refining.refined import Refined
from kovocab.refining.rounds import State, Text, TokenCounts, turn
from kovocab.refining.settings import suited_min_count
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support import reference
from support.base import save_tokenizer
from support.vocabularies import changed, ids, in_use_elsewhere, tokenizer_of, with_added, words_of

# `kovocab.refine` is the function; this is the room it is in, and the one of what it leaves.
ROOM, LEFT = (import_module(f"kovocab.refining.{name}") for name in ("refine", "refined"))

SIZE = 6_000
Refiner = Callable[[RefineSettings], Refined]


@pytest.fixture(scope="module")
def sample() -> list[str]:
    return list(sample_documents(300_000))


@pytest.fixture(scope="module")
def sample_words(sample: list[str], base: TokenizerJson) -> Counted:
    return count(pl.Series(sample), base)


@pytest.fixture(scope="module")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of some hundred tokens, for what has nothing to do with its size."""
    folder = tmp_path_factory.mktemp("base")
    save_tokenizer(folder)
    return folder / "tokenizer.json"


@pytest.fixture(scope="module")
def refined(sample_words: Counted, base_model_file: Path) -> Refined:
    return refine(sample_words, base_model_file, RefineSettings(8, 8, 3_000, prune="threshold"))


@pytest.fixture(scope="module")
def fertility_of_base(ko_small: pl.Series, mistral: Path) -> dict[str, Any]:
    """What the base makes of `ko_small`."""
    return fertility(ko_small, load_tokenizer(mistral))


@pytest.fixture(scope="module")
def on_real_text(counted: Counted, mistral: Path) -> Refiner:
    """Refine the words of `ko_small`; each settings once."""
    return cache(lambda settings: refine(counted, mistral.parent, settings))


@pytest.fixture(scope="module", params=[("threshold", 20, 60), ("threshold", 60, 20), ("leaf", 30, 30)], ids=str)
def real(request: pytest.FixtureRequest, on_real_text: Refiner) -> tuple[RefineSettings, Refined]:
    prune, min_count, min_syllable_count = request.param
    settings = RefineSettings(min_count, min_syllable_count, SIZE, prune=prune)
    return settings, on_real_text(settings)


def rounds(result: Refined) -> list[tuple[int, int, int, int]]:
    return result.rounds.select("size", "unreachable", "dropped", "added").rows()


def new_tokens(result: Refined) -> dict[str, int]:
    table = result.vocabulary.filter(pl.col("id") >= result.record["first_new_id"])
    return dict(table.select("token", "count").iter_rows())


def parts_of(result: Refined) -> reference.Parts:
    return {
        t: left and (left, right) for t, left, right in result.vocabulary.select("token", "left", "right").iter_rows()
    }


def characters(words: pl.DataFrame) -> dict[str, int]:
    found: dict[str, int] = {}
    for word, n in words.iter_rows():
        for c in filter(reference.is_hangul, word):
            found[c] = found.get(c, 0) + n
    return found


# The slow twin


@pytest.mark.parametrize(
    ("prune", "min_count", "min_syllable_count", "decided"),
    [
        ("threshold", 20, 20, False),
        ("leaf", 20, 60, True),
    ],
)
def test_the_result_is_that_of_the_slow_twin(
    ko_small: pl.Series, mistral: Path, prune: Any, min_count: int, min_syllable_count: int, decided: bool
) -> None:
    texts = ko_small.gather_every(12).to_list()
    keep = ("▁대한민국", "합니다", "뷁") if decided else ()
    drop = ("습니다", "▁그", "니", "이다") if decided else ()
    base = load_tokenizer(mistral)
    if decided:
        texts.append("뷁")
    settings = RefineSettings(min_count, min_syllable_count, SIZE, prune=prune)
    decisions = Decisions(frozenset(keep), frozenset(drop))
    result = refine(count(pl.Series(texts), mistral), mistral, settings, decisions)
    slow, turns = reference.refine(texts, base, SIZE, min_count, min_syllable_count, prune, keep, drop)
    assert list(new_tokens(result).items()) == list(slow.items())
    assert rounds(result) == turns
    assert len(turns) >= (3 if prune == "threshold" else 2)
    assert set(keep) <= slow.keys()
    assert not set(drop) & slow.keys()


def test_the_result_on_sample_text_is_that_of_the_slow_twin(
    sample: list[str], base: TokenizerJson, refined: Refined
) -> None:
    slow, turns = reference.refine(sample, base, 3_000, 8, 8, "threshold")
    assert new_tokens(refined) == slow
    assert len(slow) > 300
    assert rounds(refined) == turns


# What holds of the result


def test_one_more_turn_changes_nothing(real: tuple[RefineSettings, Refined], counted: Counted, mistral: Path) -> None:
    settings, result = real
    vocabulary = Vocabulary.of(result.vocabulary, load_tokenizer(mistral).ids)
    table = count_tokens(counted.words, result.target)
    counts = TokenCounts(vocabulary.by_row(dict(table.select("token", "count").iter_rows())), 0, Text())
    none, seen = vocabulary.rows([]), vocabulary.by_row(characters(counted.words))
    after, row = turn(State(vocabulary, none), counts, seen, settings, none, 9)
    assert (row.unreachable, row.dropped, row.added, row.size) == (0, 0, 0, len(new_tokens(result)))
    assert after.vocabulary.there.equals(vocabulary.there)
    assert rounds(result)[-1] == (len(new_tokens(result)), 0, 0, 0)


def test_what_is_kept_is_seen_often_enough(
    real: tuple[RefineSettings, Refined], counted: Counted, mistral: Path
) -> None:
    settings, result = real
    tokens, parts = new_tokens(result), parts_of(result)
    table = count_tokens(counted.words, result.target)
    assert tokens == {token: n for token, n in table.select("token", "count").iter_rows() if token in tokens}
    stepping = {part for pair in parts.values() if pair for part in pair}
    for token, n in tokens.items():
        least = settings.min_count
        if len(token) == 1:
            least = min(settings.min_count, settings.min_syllable_count)
        assert n >= least or (settings.prune == "leaf" and token in stepping), token
    have = {*load_tokenizer(mistral).ids, *tokens}
    missing = {c: n for c, n in characters(counted.words).items() if c not in have}
    assert max(missing.values()) < settings.min_syllable_count
    assert len(tokens) > 2_000


def test_new_ids_follow_the_base_s_and_parts_come_before(real: tuple[RefineSettings, Refined], mistral: Path) -> None:
    _, result = real
    assert result.vocabulary.schema == {
        "id": pl.UInt32,
        "token": pl.String,
        "left": pl.String,
        "right": pl.String,
        "count": pl.UInt64,
        "base_pieces": pl.List(pl.UInt32),
    }
    base = load_tokenizer(mistral)
    assert result.record["first_new_id"] == 32_000
    tokens = result.vocabulary["token"].to_list()
    assert result.vocabulary["id"].to_list() == list(range(32_000, 32_000 + len(tokens)))
    assert [result.target.ids[token] for token in tokens] == result.vocabulary["id"].to_list()
    known = set(base.ids)
    for token, pair in parts_of(result).items():
        assert pair is None or ("".join(pair) == token and set(pair) <= known)
        known.add(token)
    alone = changed(base, lambda config: config.update(normalizer=None))
    assert result.vocabulary["base_pieces"].to_list() == ids(alone, tokens)


RATIOS = ("tokens_per_word", "bytes_per_token")


def test_the_ratios_are_those_of_evaluate(
    real: tuple[RefineSettings, Refined], ko_small: pl.Series, fertility_of_base: dict[str, Any]
) -> None:
    """Between white space, all tokens of the text: to the last digit what is measured on the text itself."""
    _, result = real
    for measured, record in (
        (fertility(ko_small, result.target), result.rounds.row(-1, named=True)),
        (fertility_of_base, {key: result.record[f"base_{key}"] for key in RATIOS}),
    ):
        assert {key: record[key] for key in RATIOS} == {key: measured[key] for key in RATIOS}
        assert record.get("tokens", measured["tokens"]) == measured["tokens"]
    assert result.rounds["round"].to_list() == list(range(1, len(result.rounds) + 1))
    assert [line.split(":")[0] for line in result.summary().splitlines()[1:-1]] == [
        f"round {i}" for i in result.rounds["round"]
    ]


def test_leaf_keeps_more_and_needs_fewer_tokens(on_real_text: Refiner) -> None:
    threshold, leaf = (on_real_text(RefineSettings(30, 30, SIZE, prune=p)) for p in ("threshold", "leaf"))
    assert len(leaf.vocabulary) > len(threshold.vocabulary)
    assert leaf.rounds["tokens_per_word"][-1] < threshold.rounds["tokens_per_word"][-1]
    assert threshold.record["below_min_count"] == 0 < leaf.record["below_min_count"]


def test_ratios_of_text_that_is_cut_in_other_places(base: TokenizerJson) -> None:
    """Brackets, Latin, newlines and wide spaces: many a run of Hangul is no word, and many a word no run of it."""
    texts = [
        "한국어(Korean)를 배우는\u3000사람이\n많다.\n\n 2024년",
        "한국어\tK팝 ▁한국어<s>",
        "\u00a0",
        "한국어를 배우는 사람이 많다.",
    ]
    settings = RefineSettings(1, 1, 200)
    result = refine(count(pl.Series(texts * 3), base), base, settings)
    assert result.record["words"]["words_between_space"] == 3 * (5 + 3 + 0 + 4)
    for tokenizer, got in (
        (base, result.record["base_tokens_per_word"]),
        (result.target, result.rounds["tokens_per_word"][-1]),
    ):
        tokens = sum(map(len, ids(tokenizer, texts * 3)))
        assert got == tokens / 36 == fertility(pl.Series(texts * 3), tokenizer)["tokens_per_word"]


def test_a_frame_of_words_does_not_say_how_many_stood_between_spaces(
    sample: list[str], base: TokenizerJson, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    result = refine(count_words(pl.Series(sample), base), base, RefineSettings(8, 8, 3_000))
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "the word counts do not say how many words stood between white space, so tokens per word are not known: a file "
        "that `kovocab count` wrote says it, a frame of words or a file of an earlier version does not"
    ]
    assert result.rounds.schema["tokens_per_word"] == pl.Float64
    assert result.rounds["tokens_per_word"].is_null().all()
    assert (
        result.rounds["tokens"].to_list()
        == refine(count(pl.Series(sample), base), base, RefineSettings(8, 8, 3_000)).rounds["tokens"].to_list()
    )
    first, *rows, _ = result.summary().splitlines()
    assert first == "base: - tokens per word"
    assert all(row.endswith("added, - tokens per word, - bytes per token") for row in rows)
    assert result.save(tmp_path / "tokenizer")["base_tokens_per_word"] is None


# Settings and decisions


def test_the_function_is_not_hidden_by_the_room_of_its_name() -> None:
    assert kovocab.refine is refine is ROOM.refine
    assert kovocab.refine is not ROOM


@pytest.mark.parametrize(("prune", "most"), [("threshold", 2_000), ("leaf", 500), ("leaf", 50_000)])
def test_no_more_tokens_than_asked_and_all_can_be_built(
    on_real_text: Refiner, mistral: Path, prune: Any, most: int
) -> None:
    settings = RefineSettings(30, 30, SIZE, most, prune)
    result, free = on_real_text(settings), on_real_text(dataclasses.replace(settings, max_new_tokens=None))
    tokens, parts = new_tokens(result), parts_of(result)
    assert len(tokens) == min(most, len(new_tokens(free)))
    known = load_tokenizer(mistral).ids.keys() | parts.keys()
    assert all(pair is None or set(pair) <= known for pair in parts.values())
    assert parts.items() <= parts_of(free).items()
    assert rounds(result)[-1][1:] == (0, 0, 0)
    stepping = {part for pair in parts.values() if pair for part in pair}
    assert all(n >= 30 for token, n in tokens.items() if prune == "threshold" or token not in stepping)


@pytest.mark.parametrize(("prune", "most"), [("threshold", None), ("leaf", 40)])
def test_decisions_hold_in_every_round(
    sample_words: Counted, base_model_file: Path, refined: Refined, prune: Any, most: int | None
) -> None:
    table = refined.vocabulary.sort("count", "token")
    rare = table.filter(pl.col("token").str.len_chars() >= 3)["token"][:3].to_list()
    drop = [token for token in table["token"].reverse() if not any(token in word for word in rare)][:5]
    settings = RefineSettings(200, 5, 3_000, most, prune)
    decisions = Decisions(frozenset(rare), frozenset(drop))
    result = refine(sample_words, base_model_file, settings, decisions)
    parts = parts_of(result)
    assert set(rare) <= parts.keys()
    assert not set(drop) & parts.keys()
    assert any(new_tokens(result)[token] < 200 for token in rare)
    assert most is None or len(parts) == most
    assert result.record["decisions"] == {"keep": sorted(rare), "drop": sorted(drop)}
    if most is None:
        return
    with pytest.raises(UsageError, match=r"max_new_tokens leaves no room for the \d+ tokens that decisions keep"):
        refine(sample_words, base_model_file, dataclasses.replace(settings, max_new_tokens=2), decisions)


@pytest.mark.parametrize(
    ("prune", "min_count", "min_syllable_count"),
    [
        ("leaf", 1, 10**9),
        ("threshold", 10**9, 1),
        ("leaf", 10**9, 1),
        ("threshold", 10**9, 10**9),
        ("threshold", 30, 5),
    ],
)
def test_every_pair_of_thresholds_comes_to_an_end(
    sample_words: Counted,
    base: TokenizerJson,
    base_model_file: Path,
    prune: Any,
    min_count: int,
    min_syllable_count: int,
) -> None:
    settings = RefineSettings(min_count, min_syllable_count, 3_000, prune=prune)
    result = refine(sample_words, base_model_file, settings)
    tokens = new_tokens(result)
    assert rounds(result)[-1][1:] == (0, 0, 0)
    if min_count == 10**9:
        expected = characters(sample_words.words).keys() - base.ids.keys()
        assert tokens.keys() == (expected if min_syllable_count == 1 else set())


@pytest.mark.parametrize(("prune", "most"), [("threshold", None), ("leaf", 1)])
def test_a_target_can_be_refined_again(
    sample: list[str], base: TokenizerJson, refined: Refined, prune: Any, most: int | None
) -> None:
    # Three quarters of the tokens; the last, and what is made of them, are new again.
    once = build_target(base, refined.vocabulary.head(len(refined.vocabulary) * 3 // 4))
    words = count(pl.Series(sample), once)
    settings = RefineSettings(8, 8, 3_500, most, prune)
    result = refine(words, once, settings)
    tokens = new_tokens(result)
    assert not tokens.keys() & once.ids.keys()
    assert len(tokens) > 300 if most is None else len(tokens) <= most
    old = result.vocabulary.filter(pl.col("id") < result.record["first_new_id"])
    assert old["id"].to_list() == [once.ids[token] for token in old["token"]]
    assert sorted(result.vocabulary["id"].to_list())[-len(tokens) :] == list(
        range(result.record["first_new_id"], result.record["first_new_id"] + len(tokens))
    )


def test_what_a_target_has_already_is_not_new(
    sample: list[str], base_model_file: Path, refined: Refined, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a target, tokens that it has may be made anew: they are no new tokens, and not told as such."""
    refined.save(tmp_path / "once")
    once = tmp_path / "once" / "tokenizer.json"
    count(pl.Series(sample), once).save(tmp_path / "words")
    line = f"--words {tmp_path}/words --base {once} --out {tmp_path}/twice --min_count 9 --min_syllable_count 9"
    assert main(["refine", *line.split(), "--intermediate_vocab_size", "1800"]) == 0
    said = capsys.readouterr().out.splitlines()
    record = json.loads((tmp_path / "twice" / "kovocab.json").read_text("utf-8"))
    table = pl.read_parquet(tmp_path / "twice" / "vocabulary.parquet")
    fresh = int((table["id"] >= record["first_new_id"]).sum())
    assert record["promises"]["new_tokens"] == record["new_tokens"] == fresh
    assert record["promises"]["base_tokens_reachable"] == len(table) - fresh > 50
    news = f"{fresh:,} new token{'s' * (fresh != 1)}"
    assert said[-3].startswith(news)
    assert f"; {news} reachable, and {len(table) - fresh} tokens of the base by merges that are new; " in said[-2]


# What does not matter


def test_the_order_and_batches_of_documents_do_not_matter(
    sample: list[str], base: TokenizerJson, refined: Refined
) -> None:
    shuffled = random.Random(3).sample(sample, len(sample))
    again = refine(count(iter(shuffled), base, threads=3), base, RefineSettings(8, 8, 3_000, prune="threshold"))
    assert again.vocabulary.equals(refined.vocabulary)
    assert again.rounds.equals(refined.rounds)
    assert again.target.text == refined.target.text


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_input_gives_the_same_files_for_any_number_of_threads(
    sample: list[str], base_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "corpus.parquet"
    pl.DataFrame({"text": sample}).write_parquet(corpus)
    saved = []
    for threads in (1, 2):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=threads: set(range(n)), raising=False)
        words = count(corpus, base_model_file, threads=threads)
        refine(words, base_model_file, RefineSettings(8, 8, 3_000)).save(tmp_path / str(threads))
        saved.append(contents(tmp_path / str(threads)))
    assert sorted(saved[0]) == [
        "candidates.parquet",
        "kovocab.json",
        "rounds.parquet",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocabulary.parquet",
    ]
    assert saved[0] == saved[1]


# Saving


def test_what_is_saved_opens_everywhere_with_the_same_ids(
    data: Path, on_real_text: Refiner, counted: Counted, ko_small: pl.Series, tmp_path: Path
) -> None:
    folder = tmp_path / "tokenizer"
    result = on_real_text(RefineSettings(30, 30, SIZE, prune="leaf"))
    record = result.save(folder)
    checked = record["promises"]
    assert checked["base_tokens"] == 32_000
    assert checked["new_tokens"] == len(result.vocabulary)
    assert min(checked["texts_with_hangul"], checked["texts_without_hangul"], checked["texts_in_model"]) > 1_000
    assert json.loads((folder / "kovocab.json").read_text("utf-8")) == record
    assert record["words"] == counted.record
    assert record["settings"] == dataclasses.asdict(RefineSettings(30, 30, SIZE, prune="leaf"))
    assert pl.read_parquet(folder / "vocabulary.parquet").equals(result.vocabulary)
    assert pl.read_parquet(folder / "rounds.parquet").equals(result.rounds)
    texts = [*ko_small.gather_every(200), *pl.read_ndjson(data / "en.jsonl.zst")["text"].gather_every(100)]
    fast = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = [result.tokenizer.encode(text).ids for text in texts]
    assert [fast.encode(text).ids for text in texts] == found
    transformers = pytest.importorskip("transformers", reason="pip install kovocab[train]")
    auto = transformers.AutoTokenizer.from_pretrained(folder)
    assert [auto(text)["input_ids"] for text in texts] == found


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        path = folder / "tokenizer.json"
        config = json.loads(path.read_text("utf-8"))
        change(config)
        path.write_text(json.dumps(config), "utf-8")

    return apply


def swap_ids(config: dict[str, Any]) -> None:
    vocab = config["model"]["vocab"]
    vocab["▁the"], vocab["▁of"] = vocab["▁of"], vocab["▁the"]


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        (rewritten(swap_ids), "promise 1, ids"),
        (rewritten(lambda c: c["model"]["merges"].remove(["▁t", "he"])), "promise 2, text without Hangul"),
        (rewritten(lambda c: c["model"]["merges"].remove(["니", "다"])), "promise 3, reachable"),
        (rewritten(lambda c: c["decoder"]["decoders"].pop()), "promise 1, ids: the target's decoder"),
        (lambda folder: (folder / "tokenizer.model").write_bytes(b"\x0a\x01"), "promise 5, tokenizer.model"),
    ],
)
def test_a_saved_tokenizer_that_breaks_a_promise_is_not_left(
    refined: Refined,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[Path], object],
    reason: str,
) -> None:
    save = LEFT.save_tokenizer

    def broken(target: TokenizerJson, folder: Path, **rest: Any) -> None:
        save(target, folder, **rest)
        sabotage(folder)

    monkeypatch.setattr(LEFT, "save_tokenizer", broken)
    with pytest.raises(TokenizerError, match=reason):
        refined.save(tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_a_new_token_that_the_corpus_never_emits_is_not_left(refined: Refined, tmp_path: Path) -> None:
    stems = {*refined.vocabulary["left"], *refined.vocabulary["right"]}
    leaf = next(token for token in refined.vocabulary["token"] if token not in stems)
    silent = pl.when(pl.col("token") == leaf).then(0).otherwise("count").cast(pl.UInt64)
    changed = dataclasses.replace(refined, vocabulary=refined.vocabulary.with_columns(count=silent))
    with pytest.raises(TokenizerError, match=f"{leaf!r} is nowhere emitted in the corpus"):
        changed.save(tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


# What cannot be refined


def test_a_vocabulary_that_comes_back_is_an_error(
    sample_words: Counted, base_model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def back_and_forth(state: State, *rest: Any, number: int, **more: Any) -> tuple[State, Any]:
        _, row = turn(state, *rest, number=number, **more)
        vocabulary = state.vocabulary
        first = vocabulary.rows(vocabulary.table["token"][:1].to_list())
        there = (vocabulary.there & first).any()
        vocabulary = vocabulary.without(first) if there else vocabulary.plus(first)
        return dataclasses.replace(state, vocabulary=vocabulary), dataclasses.replace(row, added=1)

    monkeypatch.setattr(ROOM, "turn", back_and_forth)
    with pytest.raises(CycleError, match="round 3 came back to the vocabulary of round 1; it would never end"):
        refine(sample_words, base_model_file, RefineSettings(8, 8, 3_000, prune="threshold"))


def test_words_that_cannot_be_refined(sample: list[str], base: TokenizerJson) -> None:
    none = "^the word counts hold no word with Hangul that a token can be made of: "
    with pytest.raises(UsageError, match=f"{none}there is nothing to refine$"):
        refine(count_words(pl.Series(["the end", "끝"[:0], "漢字"]), base), base)
    taken_apart = re.escape(
        "100.0% of the Hangul (4 of 4 characters) cannot become a token: 3 conjoining jamo (NFD), 1 old, enclosed or "
        "tone marks; count it again with --normalize nfc, which makes syllables of conjoining jamo alone"
    )
    with pytest.raises(UsageError, match=f"{none}{taken_apart}$"):
        refine(count_words(pl.Series(["the end", "漢字 ᄒ\u1161ᆫ ㉠"]), base), base)
    other = json.loads(base.text) | {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}}
    counted = count(pl.Series(sample[:9]), tokenizer_of(other))
    with pytest.raises(UsageError, match=r"counted for another tokenizer than .*; count them again with it"):
        refine(counted, base)
    with pytest.raises(UsageError, match=r"word counts have the columns .*wanted"):
        refine(pl.DataFrame({"word": ["가"], "count": [1]}), base)
    with pytest.raises(UsageError, match="row 1 of the word counts is null"):
        refine(pl.DataFrame({"word": ["가", None], "count": [1, 2]}, {"word": pl.String, "count": pl.UInt64}), base)
    with pytest.raises(TokenizerError, match="not a SentencePiece-style tokenizer"):
        refine(
            count_words(pl.Series(["가"]), base),
            tokenizer_of({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}),
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"min_count": 0}, "min_count is 0; wanted 1 or more"),
        ({"min_syllable_count": -1}, "min_syllable_count is -1; wanted 1 or more"),
        ({"intermediate_vocab_size": 0}, "intermediate_vocab_size is 0; wanted 1 or more"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; wanted 1 or more"),
        ({"prune": "leaves"}, "prune is 'leaves'; wanted threshold or leaf"),
        ({"candidates": "learned"}, "candidates is 'learned'; wanted intermediate or continued"),
    ],
)
def test_settings_that_no_run_could_use(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        RefineSettings(**change)


def test_the_settings_are_the_cards_but_for_what_goes() -> None:
    settings = RefineSettings()
    assert (settings.min_count, settings.min_syllable_count, settings.intermediate_vocab_size) == (6000, 6000, 40_000)
    assert (settings.prune, settings.max_new_tokens) == ("leaf", None)


def test_a_stem_that_is_never_emitted_is_kept_by_leaf_alone(
    base: TokenizerJson, caplog: pytest.LogCaptureFixture
) -> None:
    """All three words begin with ▁대 or end in 민국, which are never left alone: by the cards' rule all five go."""
    counts = {"▁대한": 3 * 10**9, "▁민국": 5 * 10**9, "▁대한민국": 2**40}
    words, settings = words_of(counts), RefineSettings(1, 1, 40)
    assert new_tokens(refine(words, base, settings)) == counts | {"▁대": 0, "민국": 0}
    result = refine(words, base, dataclasses.replace(settings, prune="threshold"))
    assert new_tokens(result) == {}
    assert rounds(result) == [(5, 0, 2, 0), (0, 3, 0, 0), (0, 0, 0, 0)]
    assert caplog.messages[-1].endswith(
        "MB of text: none that the base lacks is emitted 1 time, with all that it is made of (prune leaf keeps that)"
    )


@pytest.mark.parametrize(("size", "suits"), [(0, 10), (2_005_010, 20), (111_754_342, 1_117), (10**11, 6_000)])
def test_what_suits_so_much_text(size: int, suits: int) -> None:
    assert suited_min_count(size) == suits


def test_thresholds_that_do_not_suit_so_little_text_are_said(
    sample_words: Counted, base_model_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def said(**settings: Any) -> list[str]:
        caplog.clear()
        refine(sample_words, base_model_file, RefineSettings(intermediate_vocab_size=3_000, **settings))
        return [record.message for record in caplog.records if record.levelname == "WARNING"]

    size = f"{sample_words.record['bytes'] / 1e6:.1f} MB of text"
    much = f"(the cards' 6,000 is for 100 GB); {suited_min_count(sample_words.record['bytes'])} would suit"
    few = said(min_count=200, min_syllable_count=10)
    assert len(few) == 1
    assert re.fullmatch(rf"\d+ new tokens from {size}: min_count is 200, which is much for it .*", few[0])
    assert few[0].endswith(f"{much}, of min_syllable_count too")
    none = said()
    assert none == [
        f"0 new tokens from {size}: min_count is 6,000, which is much for it {much}, of min_syllable_count too"
    ]
    assert said(min_count=10, min_syllable_count=10) == said(min_count=20, min_syllable_count=20) == []


def test_special_tokens_in_the_text_are_no_words_to_learn_from(small_base: Path) -> None:
    """A chat corpus: `<|뷁|>` is one token, however often it stands there, and 뷁 is nowhere else."""
    base = with_added(load_tokenizer(small_base), "<|뷁|>")
    texts = pl.Series(["<|뷁|>안녕하세요 안녕하세요"] * 50)
    for prune, kept in (("threshold", "녕"), ("leaf", "▁안녕하세요")):
        settings = RefineSettings(min_count=5, min_syllable_count=5, prune=prune)
        result = refine(count_words(texts, base), base, settings)
        assert "뷁" not in result.vocabulary["token"].to_list()
        assert kept in result.vocabulary["token"].to_list()


def test_a_base_in_use_with_truncation_is_taken_whole(small_base: Path, tmp_path: Path) -> None:
    base = in_use_elsewhere(load_tokenizer(small_base))
    words = count_words(pl.Series(["안녕하세요 여러분"] * 20), base)
    base.enable_truncation(4)
    settings = RefineSettings(min_count=5, min_syllable_count=5)
    refine(words, base, settings).save(tmp_path / "tokenizer")
    assert json.loads((tmp_path / "tokenizer/tokenizer.json").read_text())["truncation"] is None
    assert base.truncation is not None


def test_what_other_words_gave_is_not_replaced(small_base: Path, tmp_path: Path) -> None:
    settings = RefineSettings(min_count=5, min_syllable_count=5)
    texts = ("안녕하세요 여러분", "구름과 파도")
    words = [count_words(pl.Series([text] * 20), small_base) for text in texts]
    for _ in range(2):
        refine(words[0], small_base, settings).save(tmp_path / "t")
    other = refine(words[1], small_base, settings)
    with pytest.raises(ArtefactError, match=r"words\.corpus\.blake2b was .* --overwrite replaces it"):
        other.save(tmp_path / "t")
    other.save(tmp_path / "t", overwrite=True)
    assert "▁구름과" in pl.read_parquet(tmp_path / "t/vocabulary.parquet")["token"]


def test_an_artefact_of_another_verb_is_not_replaced(small_base: Path, tmp_path: Path) -> None:
    (tmp_path / "expanded").mkdir()
    write_record(tmp_path / "expanded", {"verb": "expand"})
    words = count_words(pl.Series(["안녕하세요 여러분"] * 20), small_base)
    refined = refine(words, small_base, RefineSettings(min_count=5, min_syllable_count=5))
    with pytest.raises(ArtefactError, match="was made by `kovocab expand` and is not replaced"):
        refined.save(tmp_path / "expanded")
    assert [path.name for path in tmp_path.rglob("*")] == ["expanded", "kovocab.json"]
    with pytest.raises(ArtefactError, match="no name of its own"):
        refined.save(".")
