"""Counts: the words of the definition, and token counts equal to the tokenizer's own on every document."""

import gc
import json
import logging
import os
import random
import re
import signal
import threading
import time
import unicodedata
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab import _core, combine, count_tokens, count_words
from kovocab.counting import token_counts
from kovocab.counting.count import combine_to, count, count_to
from kovocab.counting.token_counts import count_ids, count_tokens_of
from kovocab.counting.word_counts import WORDS, Counted, load_counted, of_frame, read_counted
from kovocab.errors import CorpusError, UsageError
from kovocab.example.text import sample_documents
from kovocab.machine import memory
from kovocab.refining.intermediate import train
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL as SCRIPT
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support import reference
from support.byte_level import added, load
from support.vocabularies import changed, in_use_elsewhere, tokenizer_of, with_added, words_of

CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "as it is": ("prepend", {}),
    **{
        f"metaspace, {scheme}": (
            scheme,
            {
                "normalizer": None,
                "pre_tokenizer": {
                    "type": "Metaspace",
                    "replacement": "▁",
                    "prepend_scheme": scheme,
                    "split": False,
                },
            },
        )
        for scheme in ("always", "first", "never")
    },
    "spaces only": (
        "never",
        {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}},
    ),
    "gemma": (
        "never",
        {
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"String": " "},
                "behavior": "MergedWithPrevious",
                "invert": False,
            },
        },
    ),
}
"""SentencePiece-style tokenizers of every kind: where `▁` is put, and the keys of `tokenizer.json`."""

SPECIAL = ("<unk>", "<s>", "</s>")
LITERALS = ("<s>", "</s>", "<unk>", "<s", "s>", "▁", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\0", "<0x0A>")
HANGUL = ("가", "안녕하세요", "습니다", "ㅋㅋㅋ", "ㅠ", "ㄱ", "힣", "\u3164", "ᄒ\u1161ᆫ", "\u1100", "ﾡ", "㉠", "뷁")
OTHERS = (
    "a",
    "the",
    "JSON",
    "1",
    ".",
    "漢字",
    "é",
    "e\u0301",
    "👩🏽‍💻",
    "\u200d",
    "😀",
    "\u200b",
    "\ufeff",
    "\U0010ffff",
)
TEXT = st.lists(
    st.sampled_from(LITERALS + HANGUL + OTHERS)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
    | st.sampled_from(["가나다라마바사아", "abcdefgh", "漢" * 9, "ㅋ" * 40, "a" * 70, " " * 30]),
    max_size=12,
).map("".join)
TEXTS = st.lists(TEXT, max_size=6)


@pytest.fixture(scope="module", params=CHANGES)
def kind(request: pytest.FixtureRequest, base: TokenizerJson) -> tuple[str, TokenizerJson, _core.Bpe]:
    prefix, change = CHANGES[request.param]
    tokenizer = changed(base, lambda config: config.update(change))
    return prefix, tokenizer, _core.Bpe(tokenizer.text)


@pytest.fixture(scope="module")
def sample() -> list[str]:
    return list(sample_documents(400_000))


def words_by(bpe: _core.Bpe, batches: list[list[str]], threads: int) -> pl.DataFrame:
    counter = _core.WordCounter(threads)
    for batch in batches:
        counter.update(bpe, pl.Series(batch, dtype=pl.String))
    return all_of(counter.sorted())


def all_of(words: _core.SortedWords, at_once: int = 1 << 20) -> pl.DataFrame:
    tables = [pl.DataFrame(schema=WORDS)]
    while (table := words.take(at_once)) is not None:
        tables.append(pl.DataFrame(table))
    return pl.concat(tables)


def tokens_by(bpe: _core.Bpe, texts: list[str], threads: int) -> dict[int, int]:
    counter = _core.TokenCounter(threads)
    counter.update(bpe, pl.Series(texts, dtype=pl.String))
    return non_zero(pl.DataFrame(counter.counts(bpe))["count"].to_numpy())


def non_zero(counts: Any) -> dict[int, int]:
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def expected_words(texts: list[str], prefix: str = "prepend") -> list[tuple[str, int]]:
    found = Counter(word for text in texts for word in reference.words(text, SPECIAL, prefix))
    return sorted(found.items(), key=lambda item: (-item[1], item[0].encode()))


# By definition


@settings(max_examples=70, deadline=None)
@given(texts=TEXTS, threads=st.integers(1, 4))
def test_words_and_token_counts_are_those_of_the_definition(
    kind: tuple[str, TokenizerJson, _core.Bpe], texts: list[str], threads: int
) -> None:
    prefix, tokenizer, bpe = kind
    assert words_by(bpe, [texts], threads).rows() == expected_words(texts, prefix)
    assert tokens_by(bpe, texts, threads) == non_zero(reference.token_counts(texts, tokenizer))


@pytest.mark.parametrize(
    "text",
    [
        "가나다라 " * 75_000,  # 1 MB in one line
        "가" * 350_000,  # and without a place to cut
        "a" * 1_000_000,
        " " * 300_000,
        "\n" * 300_000,
        "😀" * 250_000,
    ],
    ids=["words", "hangul", "letters", "spaces", "newlines", "emoji"],
)
def test_a_megabyte_in_one_document(base: TokenizerJson, text: str) -> None:
    corpus = pl.Series([text])
    assert count_words(corpus, base).rows() == expected_words([text])
    assert count_tokens(corpus, base)["count"].to_list() == list(reference.token_counts([text], base))


def test_words_around_the_length_that_fits_a_slot(base: TokenizerJson) -> None:
    texts = ["x" * n + end for n in range(1, 60) for end in ("", "é", "漢")] * 2
    texts += ["가" * n for n in range(1, 20)] + ["a\0" * n for n in range(1, 20)] + ["\0" * n for n in range(1, 30)]
    assert count_words(pl.Series(texts), base).rows() == expected_words(texts)


def test_empty_documents_hold_no_words(base: TokenizerJson) -> None:
    found = count(pl.Series(["", "", ""]), base, threads=2)
    assert found.words.is_empty()
    assert found.words.schema == {"word": pl.String, "count": pl.UInt64}
    assert found.record["documents"] == 3
    assert count_tokens(pl.Series([""]), base)["count"].sum() == 0


def test_the_sample_text_counts_as_the_tokenizer_counts_it(base: TokenizerJson, sample: list[str]) -> None:
    words = count_words(pl.Series(sample), base)
    assert words.rows() == expected_words(sample)
    expected = list(reference.token_counts(sample, base))
    assert sum(expected) > 100_000
    assert count_tokens(words, base)["count"].to_list() == expected
    assert count_tokens(iter(sample), base)["count"].to_list() == expected


def test_a_token_table_has_a_row_for_each_id(base: TokenizerJson) -> None:
    table = count_tokens(pl.Series(["안녕</s> the"]), base)
    assert table.schema == {"id": pl.UInt32, "token": pl.String, "count": pl.UInt64, "hangul": pl.Boolean}
    assert table["id"].to_list() == list(range(32_000))
    assert table["token"].to_list() == [base.tokens[i] for i in range(32_000)]
    assert table.filter(hangul=True).height == 346
    assert table.filter(pl.col("token") == "</s>")["count"].item() == 1


# Real text


@pytest.mark.parametrize(
    "name", ["en.jsonl.zst", "other.jsonl.zst", pytest.param("ko.parquet", marks=pytest.mark.slow)]
)
def test_token_counts_of_a_corpus_are_those_of_tokenizers(data: Path, mistral: Path, name: str) -> None:
    corpus = data / name
    texts = (pl.read_parquet(corpus) if name.endswith("parquet") else pl.read_ndjson(corpus))["text"]
    expected = reference.token_counts(texts, load_tokenizer(mistral))
    counted = count(corpus, mistral)
    assert counted.record["documents"] == len(texts)
    for tokens in (
        count_tokens(corpus, mistral),
        count_tokens(corpus, mistral.with_name("tokenizer.model"), threads=1),
        count_tokens(counted.words, mistral),
    ):
        differing = np.flatnonzero(tokens["count"].to_numpy() != expected.astype(np.uint64))
        assert differing.tolist() == []


def test_token_counts_of_each_document_are_those_of_tokenizers(data: Path, mistral: Path, ko_small: pl.Series) -> None:
    tokenizer = load_tokenizer(mistral)
    bpe = _core.Bpe(tokenizer.text)
    others = pl.read_ndjson(data / "other.jsonl.zst")["text"]
    texts = [*ko_small.gather_every(200), *others.gather_every(40)]
    assert len(texts) == 297
    encoded = Reference(tokenizer).encode(texts)
    wrong = [t for t, ids in zip(texts, encoded, strict=True) if tokens_by(bpe, [t], 2) != Counter(ids)]
    assert wrong == []


def test_words_of_real_text_are_those_of_the_definition(counted: Counted, ko_small: pl.Series) -> None:
    assert counted.words.rows() == expected_words(ko_small.to_list())


# Where the cut is refused


def spanning(texts: list[str], base: TokenizerJson) -> TokenizerJson:
    """BPE with byte fallback learned without a pre-tokenizer: its entries span spaces and newlines."""
    learned = train(words_of(Counter(text.replace(" ", "▁") for text in texts)), 2_500)
    merges = learned.drop_nulls().select("left", "right").rows()
    config = json.loads(base.text)
    special = [token["content"] for token in config["added_tokens"]]
    vocab = dict.fromkeys([*special, *(f"<0x{byte:02X}>" for byte in range(256)), *learned["token"]])
    config["model"] |= {"vocab": dict(zip(vocab, range(len(vocab)), strict=True)), "merges": merges}
    return tokenizer_of(config)


def test_where_entries_span_words_documents_are_counted_with_a_warning(
    base: TokenizerJson, sample: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = spanning(sample, base)
    assert any("▁" in token[1:].lstrip("▁") for token in tokenizer.ids)
    bpe = _core.Bpe(tokenizer.text)
    assert not bpe.cut[0]
    with caplog.at_level(logging.WARNING):
        tokens = count_tokens(pl.Series(sample), tokenizer)
    assert "counting whole documents, which is slower: entries of its vocabulary span words" in caplog.text
    expected = list(reference.token_counts(sample, tokenizer))
    assert tokens["count"].to_list() == expected
    # Cut all the same, it would be wrong.
    cut = count_tokens(count_words(pl.Series(sample), base), tokenizer)
    assert cut["count"].to_list() != expected


def test_words_of_a_vocabulary_that_spans_spaces_are_still_exact(
    base: TokenizerJson, sample: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer, texts = spanning(sample, base), sample[:40]
    cut = _core.Bpe(tokenizer.text).cut
    with caplog.at_level(logging.WARNING):
        counted = count(pl.Series(texts), tokenizer)
    assert "entries of the vocabulary span spaces: text is not cut there, which is slower" in caplog.text
    assert counted.record["cut"] == list(cut)
    expected = Counter(w for text in texts for w in reference.words(text, SPECIAL, cut=cut))
    assert dict(counted.words.iter_rows()) == expected
    assert count_tokens(counted.words, tokenizer)["count"].to_list() == list(reference.token_counts(texts, tokenizer))


@pytest.mark.parametrize(
    ("left", "right", "kinds"),
    [("가", "a", (True, True, False)), (")", "의", (True, True, False)), ("이", "가", (True, True, True)),
     ("▁", "가", (True, True, True)), ("▁", "\n", (True, False, True)), ("a", "▁", (False, True, True)),
     ("<0x0A>", "<0x0A>", None), ("<0xEA>", "<0xB1>", None)],
)  # fmt: skip
def test_a_place_that_one_entry_spans_is_not_cut(
    base: TokenizerJson, left: str, right: str, kinds: tuple[bool, bool, bool] | None
) -> None:
    config = json.loads(base.text)
    for token in (left, right, left + right):
        config["model"]["vocab"].setdefault(token, len(config["model"]["vocab"]))
    config["model"]["merges"].insert(0, [left, right])
    tokenizer = tokenizer_of(config)
    texts = ["이가 가a의 a 가가(가)의 가\n\n\n 가  \n겈겈갸", "a\n\na a\n 의가a이가 "]
    assert count_tokens(pl.Series(texts), tokenizer)["count"].to_list() == list(
        reference.token_counts(texts, tokenizer)
    )
    if kinds is not None:
        assert _core.Bpe(tokenizer.text).cut == kinds


METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": None, "pre_tokenizer": METASPACE},
        {"normalizer": {"type": "NFC"}},
        {"normalizer": None},
        {"pre_tokenizer": {"type": "WhitespaceSplit"}},
    ],
    ids=["split", "nfc", "none", "whitespace"],
)
def test_a_tokenizer_of_another_style_is_counted_by_documents(
    base: TokenizerJson, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = changed(base, lambda config: config.update(change))
    texts = ["가 나  다<s> 라\n", "ᄒ\u1161ᆫ the  end", ""]
    with caplog.at_level(logging.WARNING):
        tokens = count_tokens(pl.Series(texts), tokenizer)
    assert "counting whole documents" in caplog.text
    assert tokens["count"].to_list() == list(reference.token_counts(texts, tokenizer))


def test_added_tokens_of_every_kind_are_counted_as_the_tokenizer_does(base: TokenizerJson) -> None:
    texts = ["가<|im_start|>나 [A] <|im|>[A]다[AB", "<|im_start|>", "한글 x한글"]
    special = with_added(base, "<|im|>", "<|im_start|>", "한글", "[A")
    words = Counter(w for t in texts for w in reference.words(t, [*SPECIAL, "<|im|>", "<|im_start|>", "한글", "[A"]))
    assert dict(count_words(pl.Series(texts), special).iter_rows()) == words
    plain = with_added(base, "<|im_start|>", "나 [A", special=False)
    for tokenizer in (special, plain):
        expected = list(reference.token_counts(texts, tokenizer))
        assert count_tokens(pl.Series(texts), tokenizer)["count"].to_list() == expected


@pytest.mark.parametrize("style", CHANGES)
def test_added_tokens_that_take_white_space_along(base: TokenizerJson, style: str) -> None:
    def add(config: dict[str, Any]) -> None:
        config.update(CHANGES[style][1])
        config["added_tokens"] += [
            added("<|a|>", base.size, lstrip=True),
            added("한글", base.size + 1, lstrip=True, rstrip=True),
            added("▁▁▁", base.ids["▁▁▁"]),
        ]

    tokenizer = changed(base, add)
    parts = [" ", "  ", "\n", "\u3000", "x", "가", "<|a|>", "한글", "▁", "▁▁▁", "<s>", "\t", "안녕"]
    rng = random.Random(3)
    texts = ["".join(rng.choices(parts, k=rng.randrange(1, 12))) for _ in range(2_000)]
    bpe, encoded = _core.Bpe(tokenizer.text), Reference(tokenizer).encode(texts)
    wrong = [t for t, ids in zip(texts, encoded, strict=True) if tokens_by(bpe, [t], 1) != Counter(ids)]
    assert wrong == []


def test_truncation_and_padding_of_a_tokenizer_in_use_do_not_count(data: Path, base: TokenizerJson) -> None:
    texts = pl.Series(["one two three four five six seven", "가"])
    for tokenizer in (base, load(data, "gpt2")):
        expected = list(reference.token_counts(texts, tokenizer))
        in_use = in_use_elsewhere(tokenizer)
        in_use.enable_truncation(3)
        in_use.enable_padding(pad_id=5, length=9)
        assert count_tokens(texts, in_use)["count"].to_list() == expected
        assert in_use.truncation is not None


# What does not matter


def test_threads_batches_and_order_do_not_matter(base: TokenizerJson, sample: list[str]) -> None:
    texts = [*sample, "가" * 100, "x" * 100, "", *(str(n) for n in range(20_000))]
    bpe = _core.Bpe(base.text)
    expected = words_by(bpe, [texts], 1)
    rng = random.Random(5)
    for threads in (1, 2, 3, 7):
        shuffled = rng.sample(texts, len(texts))
        cuts = [0, *sorted(rng.choices(range(len(texts)), k=rng.randrange(12))), len(texts)]
        batches = [shuffled[a:b] for a, b in pairwise(cuts)]
        assert words_by(bpe, batches, threads).equals(expected)


def test_the_form_of_the_corpus_does_not_matter(base: TokenizerJson, sample: list[str], tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": sample})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=50)
    frame.write_ndjson(tmp_path / "b.jsonl")
    expected = count_words(frame, base, threads=1)
    for corpus in (tmp_path / "a.parquet", str(tmp_path / "b.json*"), frame["text"], iter(sample), frame.lazy()):
        assert count_words(corpus, base, threads=3).equals(expected)


SUMS = ("documents", "bytes", "words", "distinct_words", "words_between_space", "hangul", "special_tokens")


def test_combine_is_counting_both_at_once(base: TokenizerJson, sample: list[str], tmp_path: Path) -> None:
    one, two = count(pl.Series(sample[::2]), base), count(pl.Series(sample[1::2]), base)
    both = count(pl.Series(sample), base)
    assert combine(one.words, two.words).equals(both.words)
    assert combine(two.words, one.words).equals(both.words)
    paths = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for counted, path in zip((one, two), paths, strict=True):
        counted.save(path)
    record = combine_to(tmp_path / "both.parquet", paths)
    together = load_counted(tmp_path / "both.parquet")
    assert together.words.equals(both.words)
    assert together.record == record
    assert {path.name for path in tmp_path.iterdir()} == {"one.parquet", "two.parquet", "both.parquet"}
    kept = (*SUMS, "tokenizer", "cut")
    assert {key: together.record[key] for key in kept} == {key: both.record[key] for key in kept}
    assert together.record["corpus"] == {"kind": "combined", "parts": [{"kind": "memory"}] * 2}
    assert combine().is_empty()


def table(*rows: tuple[str | None, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, WORDS, orient="row")


def test_counts_are_64_bit_and_do_not_wrap(base: TokenizerJson) -> None:
    large = table(("▁the", 2**63), ("▁a", 5_000_000_000))
    assert combine(table(("▁the", 2**63)), table(("▁the", 2**63 - 1))).rows() == [("▁the", 2**64 - 1)]
    assert combine(large, table(("▁the", 5))).rows() == [("▁the", 2**63 + 5), ("▁a", 5_000_000_000)]
    assert count_tokens(large, base)["count"].max() == 2**63
    with pytest.raises(UsageError, match=r"a count passes 2\^64 - 1; wanted counts that add up to less"):
        combine(large, large)
    with pytest.raises(UsageError, match=r"a count passes 2\^64 - 1; wanted counts that add up to less"):
        count_tokens(table(("▁the", 2**63), ("the", 1), ("▁the", 2**63)), base)


# The border


class Column:
    """A column of Arrow data that can be watched with a weakref."""

    def __init__(self, texts: pl.Series) -> None:
        self._texts = texts

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._texts.__arrow_c_stream__(requested_schema)


def test_nothing_holds_on_to_the_input(base: TokenizerJson) -> None:
    counter, bpe = _core.WordCounter(2), _core.Bpe(base.text)
    column = Column(pl.Series(["가나다 the end"]))
    watched = weakref.ref(column)
    counter.update(bpe, column)
    del column
    gc.collect()
    assert watched() is None
    sizes = []
    for _ in range(40):
        counter.update(bpe, pl.Series([f"{'가나다 ' * 99}"] * 8_000))  # 8 MB
        sizes.append(memory.used())
    assert sizes[-1] - sizes[9] < 60e6  # of 240 MB that passed


def test_other_threads_run_while_text_is_counted(base: TokenizerJson) -> None:
    counter, bpe = _core.WordCounter(1), _core.Bpe(base.text)
    texts = pl.Series(["가나다 라마바 the end of it " * 2_000] * 800)  # 80 MB
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    counter.update(bpe, texts)
    end = time.perf_counter()
    done.set()
    thread.join()
    assert sum(start < at < end for at in ticks) > 5


def test_ctrl_c_stops_between_batches(base: TokenizerJson, ctrl_c: None) -> None:
    made = 0

    def endless() -> Iterator[str]:
        nonlocal made
        while True:
            made += 1
            if made == 300_000:
                os.kill(os.getpid(), signal.SIGINT)
            yield "가나다 라마바사 the end"

    with pytest.raises(KeyboardInterrupt):
        count_words(endless(), base)
    assert made < 2_000_000
    assert count_words(pl.Series(["가"]), base).rows() == [("▁가", 1)]


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, threads=st.integers(1, 3), at_once=st.integers(1, 50))
def test_words_are_given_in_order_however_many_at_once(
    kind: tuple[str, TokenizerJson, _core.Bpe], texts: list[str], threads: int, at_once: int
) -> None:
    prefix, _, bpe = kind
    counter = _core.WordCounter(threads)
    counter.update(bpe, pl.Series(texts, dtype=pl.String))
    expected = expected_words(texts, prefix)
    first, again = counter.sorted(), counter.sorted()
    assert all_of(first, at_once).rows() == all_of(again).rows() == expected
    assert first.totals() == (len(expected), sum(count for _, count in expected))
    assert first.take(at_once) is None


@pytest.mark.parametrize("threads", [1, 3])
def test_many_words_are_in_order_from_one_range_to_the_next(data: Path, mistral: Path, threads: int) -> None:
    counter, bpe = _core.WordCounter(threads), _core.Bpe(load_tokenizer(mistral).text)
    counter.update(bpe, pl.read_parquet(data / "ko.parquet")["text"].gather_every(4))
    words = all_of(counter.sorted(), 100_000)
    assert len(words) == counter.size()[0] > 400_000
    assert words["word"].n_unique() == len(words)
    assert words.equals(words.sort("count", "word", descending=[True, False]))
    assert words.equals(all_of(counter.sorted(), 7_777))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pl.Series([1, 2]), "wanted a column of strings, not of Int64"),
        (pl.Series(["가", None]), "row 1 is null"),
        (pl.concat([pl.Series(["가"]), pl.Series(["나", None])], rechunk=False), "row 2 is null"),
    ],
)
def test_a_column_that_is_not_text_is_refused_at_the_border(
    base: TokenizerJson, column: pl.Series, reason: str
) -> None:
    counter, bpe = _core.WordCounter(1), _core.Bpe(base.text)
    with pytest.raises(ValueError, match=reason):
        counter.update(bpe, column)


# Errors


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_than_one_thread(base: TokenizerJson, threads: int) -> None:
    corpus = pl.Series(["가"])
    calls: list[Callable[[], object]] = [
        lambda: count_words(corpus, base, threads=threads),
        lambda: count_tokens(corpus, base, threads=threads),
        lambda: count_tokens(table(("가", 1)), base, threads=threads),
        lambda: count_tokens(corpus, changed(base, lambda config: config.update(normalizer=None)), threads=threads),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=f"threads is {threads}; wanted 1 to 1,024"):
            call()


def test_word_counts_of_other_columns(base: TokenizerJson) -> None:
    signed = pl.DataFrame({"word": ["가"], "count": [1]})
    with pytest.raises(UsageError, match=r"'count': Int64.*; wanted .*'count': UInt64"):
        count_tokens(signed, base)
    with pytest.raises(UsageError, match=r"columns .*'count': Int64.*; wanted .*'count': UInt64"):
        combine(signed)
    with pytest.raises(UsageError, match=r"columns .*'text': String"):
        combine(pl.DataFrame({"text": ["가"]}))
    holed = table(("가", 1), (None, 2))
    for call in (lambda: count_tokens(holed, base), lambda: combine(holed)):
        with pytest.raises(UsageError, match="row 1 of the word counts is null"):
            call()


@pytest.mark.parametrize("name", ["o.csv", "o.TSV", "o.txt", "o.json", "o.jsonl"])
def test_words_are_not_written_under_the_name_of_a_text(tmp_path: Path, base: TokenizerJson, name: str) -> None:
    out = tmp_path / name
    with pytest.raises(UsageError) as counted:
        count_to(out, iter(["안녕"]), base)
    with pytest.raises(UsageError) as added:
        combine_to(out, [tmp_path / "w"])
    said = f"out is {out}; counts are Parquet: wanted a name such as o.parquet"
    assert (str(counted.value), str(added.value)) == (said, said)
    assert not out.exists()


def test_combining_nothing_or_what_differs(base: TokenizerJson, tmp_path: Path) -> None:
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "out"
    with pytest.raises(UsageError, match="there are no word counts to combine"):
        combine_to(out, [])
    texts = pl.Series(["가"])
    other = changed(base, lambda config: config.update(CHANGES["spaces only"][1]))
    count(texts, base).save(one)
    count(texts, other).save(two)
    with pytest.raises(UsageError, match="counted for another tokenizer than"):
        combine_to(out, [one, two])
    with pytest.raises(UsageError, match="counted for another tokenizer than"):
        count(texts, base, add_to=two)
    assert not out.exists()


def test_combining_files_whose_sum_passes_64_bits(tmp_path: Path) -> None:
    record = {"verb": "count", "corpus": {"kind": "memory"}, "documents": 1, "bytes": 1}
    record |= {"words": 2**63, "distinct_words": 1, "tokenizer": "t", "cut": [True] * 3}
    Counted(table(("▁the", 2**63)), record).save(tmp_path / "large")
    for paths in ([tmp_path / "large"] * 2, [tmp_path / "large", str(tmp_path / "large")]):
        with pytest.raises(UsageError, match=r"passes 2\^64 - 1; wanted counts that add up to less"):
            combine_to(tmp_path / "out", paths)
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


@pytest.mark.parametrize("key", ["words", "distinct_words"])
def test_words_of_another_count_under_a_record(
    base: TokenizerJson, sample: list[str], tmp_path: Path, key: str
) -> None:
    counted = count(pl.Series(sample[:99]), base)
    Counted(counted.words, counted.record | {key: counted.record[key] + 1}).save(tmp_path / "w")
    for read in (
        lambda: load_counted(tmp_path / "w"),
        lambda: combine_to(tmp_path / "out", [tmp_path / "w"]),
        lambda: count(pl.Series(["가"]), base, add_to=tmp_path / "w"),
    ):
        with pytest.raises(
            CorpusError, match=r"/w holds .* distinct, and its record says .* run `kovocab count` again"
        ):
            read()
    assert not (tmp_path / "out").exists()


def test_what_is_added_to_day_by_day_stays_flat(base: TokenizerJson, tmp_path: Path) -> None:
    count(pl.Series(["가"]), base).save(tmp_path / "w")
    for _ in range(3):
        combine_to(tmp_path / "w2", [tmp_path / "w", tmp_path / "w"])
        (tmp_path / "w2").replace(tmp_path / "w")
    assert read_counted(tmp_path / "w")["corpus"] == {"kind": "combined", "parts": [{"kind": "memory"}] * 8}


def test_words_of_an_earlier_version_do_not_say_how_many_stood_between_spaces(
    base: TokenizerJson, sample: list[str], tmp_path: Path
) -> None:
    today = count(pl.Series(sample[:99]), base)
    known = {"words_between_space", "hangul", "special_tokens"}
    old = Counted(today.words, {key: value for key, value in today.record.items() if key not in known})
    old.save(tmp_path / "old")
    today.save(tmp_path / "today")
    record = combine_to(tmp_path / "both", [tmp_path / "old", tmp_path / "today"])
    assert not known & record.keys()
    assert record["words"] == 2 * today.record["words"]
    # Of what the words themselves say nothing is lost.
    record = count(pl.Series(sample[:99]), base, add_to=tmp_path / "old").record
    assert "words_between_space" not in record
    assert record["hangul"]["characters"] == 2 * today.record["hangul"]["characters"] > 0


# What people call words, and what they should know of their text


def test_words_between_space_are_those_of_the_text(ko_small: pl.Series, mistral: Path) -> None:
    texts = ko_small.gather_every(7).to_list()
    texts += [
        "",
        " \u3000\n",
        "가\u3000나\u00a0다\u0085라\tㅋ\x0b",
        "a\u200bb\u180ec\x1fd",
        "▁가▁ ▁",
        "가<s>나</s> <s>",
    ] * 50
    spaces = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    expected = sum(len(re.findall(f"[^{spaces}]+", text)) for text in texts)
    assert expected == int(pl.Series(texts).str.count_matches(r"\S+").sum())
    for threads in (1, 2, 5):
        assert count(pl.Series(texts), mistral, threads=threads).record["words_between_space"] == expected


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    caplog.clear()
    return said


def test_literal_special_tokens_are_counted_as_the_tokenizer_reads_them_and_said(
    base: TokenizerJson, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["<s>가</s>나</s>", "</ s> a</s>b <S>", "가나"] * 2
    counted = count(pl.Series(texts), base)
    assert counted.record["special_tokens"] == {"</s>": 6, "<s>": 2}
    found = count_tokens(counted.words, base)["count"]
    assert found.to_list() == list(reference.token_counts(texts, base))
    assert (found[base.ids["</s>"]], found[base.ids["<s>"]]) == (6, 2)
    said = (
        "the text holds 8 literal special tokens (</s> 6, <s> 2): counted as ids, which is how the tokenizer reads "
        "text; packing reads them as text by default"
    )
    assert warned(caplog) == [said]
    record, _ = count_to(tmp_path / "w", pl.Series(texts), base)
    assert record == counted.record == read_counted(tmp_path / "w")
    assert warned(caplog) == [said]
    # Where words are spilled, and where some were counted before.
    record, _ = count_to(tmp_path / "again", pl.Series(texts[:1]), base, add_to=tmp_path / "w")
    assert record["special_tokens"] == {"</s>": 8, "<s>": 3}
    chat = with_added(base, "<|대화끝|>")
    assert count(pl.Series(["가<|대화끝|>나"]), chat).record["special_tokens"] == {"<|대화끝|>": 1}
    assert count(pl.Series(["no mark of any kind: < s>"]), base).record["special_tokens"] == {}


def test_hangul_of_which_no_token_can_be_made_is_said(
    base: TokenizerJson, ko_small: pl.Series, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ko_small.gather_every(40)
    whole = count(texts, base).record["hangul"]
    assert warned(caplog) == [], "a few in a thousand are no news"
    assert whole["characters"] == sum(len(re.findall(f"[{SCRIPT.characters}]", text)) for text in texts)
    apart = [unicodedata.normalize("NFD", text) for text in texts]
    hangul = count(pl.Series(apart), base).record["hangul"]
    jamo = sum(len(re.findall("[\u1100-\u11ff]", text)) for text in apart)
    assert hangul["conjoining"] == jamo > 2 * whole["characters"]
    other = sum(len(re.findall("[\u302e\u302f\u3164-\u318e\u3200-\u321e\u3260-\u327e]", text)) for text in apart)
    assert hangul["other"] == other > 0
    assert warned(caplog)[0] == (
        f"{(jamo + other) / hangul['characters']:.1%} of the Hangul ({jamo + other:,} of {hangul['characters']:,} "
        f"characters) cannot become a token: {jamo:,} conjoining jamo (NFD), {other} old, enclosed or tone marks; "
        "count it again with --normalize nfc, which makes syllables of conjoining jamo alone"
    )
    assert count(pl.Series(["가ﾡﾡ\ue0bc" * 3]), base).record["hangul"] == {
        "characters": 9, "conjoining": 0, "halfwidth": 6, "other": 0, "private_use": 3
    }  # fmt: skip
    assert warned(caplog) == [
        "66.7% of the Hangul (6 of 9 characters) cannot become a token: 6 halfwidth; 3 private-use characters may be "
        "old Hangul, and cannot become a token either"
    ]
    count(pl.Series(["ㆍ㉠" * 9]), base)
    assert warned(caplog) == [
        "100.0% of the Hangul (18 of 18 characters) cannot become a token: 18 old, enclosed or tone marks"
    ]
    assert count(pl.Series(["an icon \uf0e0 " * 9]), base).record["hangul"]["private_use"] == 9
    assert warned(caplog) == [], "there is no Hangul in it"


# Yesterday's


def parts(sample: list[str], folder: Path) -> tuple[Path, Path]:
    """Yesterday's file and today's."""
    paths = folder / "yesterday.parquet", folder / "today.parquet"
    for path, texts in zip(paths, (sample[::2], sample[1::2]), strict=True):
        pl.DataFrame({"text": texts}).write_parquet(path)
    return paths


def test_todays_added_to_yesterdays_is_both(base: TokenizerJson, sample: list[str], tmp_path: Path) -> None:
    yesterday, today = parts(sample, tmp_path)
    expected = count([yesterday, today], base)
    old, new = tmp_path / "old", tmp_path / "new"
    before, _ = count_to(old, yesterday, base)
    for add_to in (old, str(old), [old]):
        record, skipped = count_to(new, today, base, add_to=add_to)
        added = load_counted(new)
        assert added.words.equals(expected.words)
        assert added.record == record
        assert skipped == []
        assert record["corpus"]["kind"] == "combined"
        assert record["corpus"]["parts"] == [before["corpus"], count(today, base).record["corpus"]]
        for key in (*SUMS, "tokenizer", "cut"):
            assert record[key] == expected.record[key]
    in_memory = count(today, base, add_to=[old])
    assert in_memory.words.equals(expected.words)
    assert in_memory.record == record
    # Onto itself: what was there is read before it is replaced.
    count_to(old, today, base, add_to=old)
    assert old.read_bytes() == new.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"old", "new", "yesterday.parquet", "today.parquet"}


@pytest.mark.parametrize("form", ["lazy", "generator", "frame", "series"])
def test_a_corpus_in_memory_to_a_file(base: TokenizerJson, sample: list[str], tmp_path: Path, form: str) -> None:
    def corpus() -> Any:
        frame = pl.DataFrame({"text": sample})
        forms = {"lazy": frame.lazy(), "generator": (t for t in sample), "frame": frame, "series": frame["text"]}
        return forms[form]

    counted = count(corpus(), base)
    record, _ = count_to(tmp_path / "w", corpus(), base)
    loaded = load_counted(tmp_path / "w")
    assert loaded.words.equals(counted.words)
    assert loaded.words.rows() == expected_words(sample)
    assert record == counted.record == loaded.record == read_counted(tmp_path / "w")
    assert record["corpus"] == {"kind": "memory"}
    assert record["documents"] == len(sample)
    assert record["bytes"] == sum(len(text.encode()) for text in sample)
    counted.save(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == (tmp_path / "w").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"w", "saved"}


def test_tokens_of_a_file_of_words(base: TokenizerJson, sample: list[str], tmp_path: Path) -> None:
    count_to(tmp_path / "w", pl.Series(sample), base)
    expected = list(reference.token_counts(sample, base))
    assert count_tokens_of(tmp_path / "w", base)["count"].to_list() == expected
    assert count_tokens_of(str(tmp_path / "w"), base, threads=1)["count"].to_list() == expected
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-100])
    with pytest.raises(CorpusError, match=f"{tmp_path}/w cannot be read"):
        count_tokens_of(tmp_path / "w", base)


def test_tokens_of_words_whose_fragments_pass_the_bound(
    base: TokenizerJson, sample: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_counts, "_FRAGMENTS", 0)  # encoded and forgotten after each table
    words = count_words(pl.Series(sample), base)
    assert len(words) > 500
    tables = [words[at : at + 100] for at in range(0, len(words), 100)]
    assert count_ids(tables, base)["count"].to_list() == list(reference.token_counts(sample, base))
    assert count_ids([], base)["count"].to_list() == [0] * base.size


def test_a_damaged_file_of_words_gives_no_other_words_in_silence(
    base: TokenizerJson, sample: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "w"
    count_to(path, pl.Series(sample), base)
    whole, data = load_counted(path).words, path.read_bytes()
    rng = random.Random(3)
    refused = 0
    for _ in range(60):
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + rng.randbytes(40) + data[at + 40 :])
        try:
            found = len(load_counted(path).words)
        except (CorpusError, UsageError):
            refused += 1
        else:
            assert found == len(whole)
    assert refused > 5


def test_a_corpus_that_cannot_be_counted(base: TokenizerJson, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no documents"):
        count_words(pl.Series([], dtype=pl.String), base)
    with pytest.raises(CorpusError, match="no such file"):
        count_words(tmp_path / "a.txt", base)
    with pytest.raises(CorpusError, match="row 2: column 'text' is null"):
        count_words(pl.DataFrame({"text": ["가", None]}), base)
    with pytest.raises(CorpusError, match="no column 'body'; it has text"):
        count_words(pl.DataFrame({"text": ["가"]}), base, column="body")


# On disk


def test_word_counts_come_back_with_their_record(base: TokenizerJson, sample: list[str], tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.parquet"
    pl.DataFrame({"text": sample}).write_parquet(corpus)
    counted = count(corpus, base)
    assert counted.record["documents"] == len(sample)
    assert counted.record["bytes"] == sum(len(text.encode()) for text in sample)
    assert counted.record["words"] == counted.words["count"].sum()
    assert counted.record["distinct_words"] == len(counted.words)
    assert counted.record["tokenizer"] == base.digest
    assert counted.record["corpus"]["files"][0]["name"] == "corpus.parquet"
    for name in ("words.parquet", "new/words[1].parquet"):
        counted.save(tmp_path / name)
        loaded = load_counted(tmp_path / name)
        assert loaded.words.equals(counted.words)
        assert loaded.record == counted.record
        assert load_counted(str(tmp_path / name)).record == counted.record
    again = tmp_path / "again.parquet"
    count(corpus, base, threads=1).save(again)
    assert again.read_bytes() == (tmp_path / "words.parquet").read_bytes()


def test_words_that_nothing_is_recorded_of_are_told_apart() -> None:
    """Also where their columns, one behind the other, are the same."""
    schema = pl.Schema({"word": pl.String, "count": pl.UInt64})
    one, other = ({"word": ["a", "1"], "count": [23, 4]}, {"word": ["a", "12"], "count": [3, 4]})
    records = [of_frame(pl.DataFrame(words, schema)).record["corpus"] for words in (one, other, one)]
    assert records[0] == records[2] != records[1]


def test_a_file_that_holds_no_word_counts(tmp_path: Path) -> None:
    wanted = "wanted word counts as `kovocab count` leaves them"
    path = tmp_path / "words.parquet"
    with pytest.raises(CorpusError, match=rf"{path} cannot be read \(.*\); {wanted}"):
        load_counted(path)
    for content in (b"", b"PAR1", b"PAR1" * 9, b"garbage" * 9):
        path.write_bytes(content)
        with pytest.raises(CorpusError, match=rf"{path} cannot be read \(.*\); {wanted}"):
            load_counted(path)
    table(("가", 1)).write_parquet(path)
    with pytest.raises(CorpusError, match=rf"{path} holds .*; {wanted}"):
        load_counted(path)
    pl.DataFrame({"text": ["가"]}).write_parquet(path, metadata={"kovocab": "{}"})
    with pytest.raises(CorpusError, match=rf"{path} holds .*'text': String.*; {wanted}"):
        load_counted(path)


def test_a_column_of_what_is_no_utf_8_is_told(base_model_file: Path) -> None:
    """Nobody looks at the bytes of a column that pyarrow hands on, and the engine may not take them for text."""
    pa = pytest.importorskip("pyarrow")
    ends, data = np.array([0, 5, 12], dtype=np.int64), b"hellohello \xf0"
    column = pa.Array.from_buffers(pa.large_string(), 2, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    documents = pl.Series("text", column)
    for counted in (count, count_tokens):
        with pytest.raises(CorpusError, match="documents cannot be read: a text is no UTF-8"):
            counted(documents, base_model_file)
    words = pl.DataFrame({"word": documents, "count": pl.Series([1, 2], dtype=pl.UInt64)})
    with pytest.raises(ValueError, match="row 1 is no UTF-8"):
        _core.count_hangul(words["word"], words["count"], 1)
    with pytest.raises(ValueError, match="row 1 is no UTF-8"):
        _core.nfc(documents)


def test_hangul_is_counted_over_rows_that_threads_share() -> None:
    """Some rows at a time, however the columns are cut; what is wrong with a row is said by its number among all."""
    number = 70_000
    words, counts = ["▁한국", "a", "ㅋㅋ"] * number, np.arange(3 * number, dtype=np.uint64)
    expected = int((counts.reshape(-1, 3) * np.array([2, 0, 2], dtype=np.uint64)).sum())
    cut = pl.concat([pl.Series(words[:5]), pl.Series(words[5:100_001]), pl.Series(words[100_001:])], rechunk=False)
    for threads in (1, 3):
        assert _core.count_hangul(cut, pl.Series(counts), threads) == [expected, 0, 0, 0, 0]
    assert _core.count_hangul(cut[:0], pl.Series(counts[:0]), 2) == [0] * 5
    with pytest.raises(ValueError, match=f"{3 * number} words but {3 * number - 1} counts"):
        _core.count_hangul(cut, pl.Series(counts[1:]), 2)
    words[150_000] = None
    with pytest.raises(ValueError, match="row 150000 is null"):
        _core.count_hangul(pl.concat([cut[:100_001], pl.Series(words[100_001:])]), pl.Series(counts), 2)
