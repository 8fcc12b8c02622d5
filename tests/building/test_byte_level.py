"""Targets of byte-level bases: held to `tokenizers`, on real text, at the borders of blocks and with tokens dropped."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.building.byte_level import scaffolds
from kovocab.building.placement import base_of
from kovocab.building.promises import check_promises
from kovocab.building.saving import save_tokenizer
from kovocab.building.target import build_target
from kovocab.errors import TokenizerError
from kovocab.refining.candidates import Vocabulary
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, script_of
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import (
    changed,
    ids,
    pieces,
    tokenizer_merges,
    vocabulary,
    vocabulary_of_words,
    with_added,
)

BASES = ["gpt2", "phi2", "qwen2"]
NARROW = HANGUL.in_bytes
ByName = Callable[[str], TokenizerJson]

ROWS = vocabulary(
    ("안", None, None),
    ("녕", None, None),
    ("ㅋ", None, None),
    ("안녕", "안", "녕"),
    ("▁안녕", "▁", "안녕"),
    ("ㅋㅋ", "ㅋ", "ㅋ"),
)


@pytest.fixture(scope="module")
def rows(ko_small: pl.Series) -> pl.DataFrame:
    return vocabulary_of_words(ko_small.to_list(), 6_000, NARROW)


@pytest.fixture(scope="module")
def targets(byte_level: ByName, rows: pl.DataFrame) -> dict[str, TokenizerJson]:
    return {name: build_target(byte_level(name), rows) for name in BASES}


@pytest.fixture(scope="module")
def references(byte_level: ByName, targets: dict[str, TokenizerJson]) -> dict[str, tuple[Reference, Reference]]:
    return {name: (Reference(byte_level(name)), Reference(targets[name])) for name in BASES}


@pytest.mark.parametrize(
    ("name", "first", "held"), [("gpt2", 50_257, 172), ("phi2", 50_295, 172), ("qwen2", 151_646, 0)]
)
def test_promises_on_real_text(
    data: Any,
    references: dict[str, tuple[Reference, Reference]],
    rows: pl.DataFrame,
    ko_small: pl.Series,
    name: str,
    first: int,
    held: int,
) -> None:
    others = [pl.read_ndjson(data / f"{file}.jsonl.zst")["text"] for file in ("en", "other")]
    base, target = references[name]
    texts = pl.concat([ko_small.gather_every(40), *(series.gather_every(8) for series in others)])
    checked = check_promises(base, target, texts, rows)
    old = sum(token in base.document.texts for token in rows["token"])
    assert (checked["base_tokens"], checked["new_tokens"]) == (first, len(rows) - old)
    assert checked["texts_with_hangul"] >= 1_000
    assert len(scaffolds(base.document, set(rows["token"]))) == held
    assert target.document.size == first + len(rows) - old + held
    assert [target.document.text_of[first + i] for i in range(3)] == [
        token for token in rows["token"] if token not in base.document.texts
    ][:3]


def test_base_tokens_of_the_script_stay_reachable(byte_level: ByName, targets: dict[str, TokenizerJson]) -> None:
    """All that the base reaches, without the intermediate tokenizer's merges for them."""
    base = byte_level("qwen2")
    hangul = [token for token in base.texts if HANGUL.can_be_new(token)]
    lost = [token for token, found in zip(hangul, base_pieces(targets["qwen2"], hangul), strict=True) if len(found) > 1]
    assert len(hangul) == 3_510
    assert lost == []


def test_new_ids_are_words_and_then_scaffolds(byte_level: ByName) -> None:
    base = byte_level("phi2")
    target = build_target(base, ROWS)
    needed = sorted({f"<0x{raw[0]:02X}><0x{raw[1]:02X}>" for raw in map(str.encode, "안녕ㅋ")} - base.texts.keys())
    new = [token for token in ROWS["token"] if token not in base.texts]
    assert [target.text_of[i] for i in range(50_295, target.size)] == [*new, *needed]
    assert target.ids["ìķĪ"] == target.texts["안"] == 50_295
    assert pieces(target, "안녕 안녕ㅋㅋ!") == ["ìķĪëħķ", "ĠìķĪëħķ", "ãħĭãħĭ", "!"]
    listed = pl.concat([ROWS, pl.DataFrame({"token": needed})], how="diagonal")
    assert build_target(base, listed).text == target.text == build_target(base, ROWS).text
    for scaffold in needed:
        assert base_pieces(target, [scaffold]) == [[target.texts[scaffold]]]
        assert [base.text_of[i] for i in base_pieces(base, [scaffold])[0]] == [scaffold[:6], scaffold[6:]]


def test_a_syllable_that_is_no_token_takes_a_scaffold_and_a_byte(byte_level: ByName) -> None:
    target = build_target(byte_level("gpt2"), ROWS)
    assert [target.text_of[i] for i in ids(target, ["앉"])[0]] == ["<0xEC><0x95>", "<0x89>"]


def test_added_tokens_keep_their_ids(byte_level: ByName) -> None:
    """`tokenizers` renumbers those that the model lacks as soon as it grows."""
    for name, tokens in {"phi2": [" " * 31, "\t\t"], "qwen2": ["<|im_start|>", "<|im_end|>"]}.items():
        base = byte_level(name)
        target = build_target(base, ROWS)
        assert ids(target, tokens) == ids(base, tokens) == [[base.ids[token]] for token in tokens]
    assert pieces(build_target(byte_level("phi2"), ROWS), "   안녕") == ["   ", "ìķĪëħķ"]


def test_what_is_saved_opens_again(byte_level: ByName, tmp_path: Any) -> None:
    base = byte_level("phi2")
    target = build_target(base, ROWS)
    save_tokenizer(target, tmp_path, base_source=base, vocabulary=ROWS)
    assert load_tokenizer(tmp_path).ids == target.ids
    transformers = pytest.importorskip("transformers")
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("   안녕 ok 안녕ㅋㅋ").input_ids == ids(target, ["   안녕 ok 안녕ㅋㅋ"])[0]
    assert len(loaded) == target.size
    assert loaded.eos_token == "<|endoftext|>"


# Fuzz

CODES = st.one_of(
    st.integers(0xAC00 - 80, 0xAC00 + 80),
    st.integers(0xD7A3 - 40, 0xD7FF),
    st.integers(0x1100 - 20, 0x1220),
    st.integers(0x3100, 0x3250),
    st.integers(0xA940, 0xA9A0),
    st.integers(0xFF60, 0xFFFF),
    st.integers(0x20, 0x7E),
    st.integers(0x80, 0x10FFFF).filter(lambda code: not 0xD800 <= code < 0xE000),
)
SAMPLES = [
    "안녕하세요",
    "한국어",
    "ㅋㅋㅋ",
    "ㄱㄴㄷ",
    "\u1112\u1161\u11ab",
    "ﾡ",
    "㉠",
    " ",
    "  ",
    "\n",
    "▁",
    "JSON을",
    "\0",
]
MIXED = st.lists(st.one_of(CODES.map(chr), st.sampled_from(SAMPLES)), max_size=25).map("".join)


@pytest.mark.parametrize("name", BASES)
@settings(max_examples=400, deadline=None)
@given(text=MIXED)
def test_promises_on_random_strings(references: dict[str, tuple[Reference, Reference]], name: str, text: str) -> None:
    before, after = (reference.encode([text])[0] for reference in references[name])
    assert references[name][0].decode(before) == references[name][1].decode(after)
    if not NARROW.holds(text):
        assert before == after


@pytest.mark.parametrize("name", BASES)
def test_every_character_outside_hangul_between_others(
    references: dict[str, tuple[Reference, Reference]], name: str
) -> None:
    """Each code point of the Basic Multilingual Plane, assigned or not, alone, behind a space and between letters."""
    codes = [chr(i) for i in range(0x10000) if not 0xD800 <= i < 0xE000]
    kept = [c for c in codes if not NARROW.holds(c)]
    assert len(kept) > 51_000
    texts = ["".join(f" {c}a{c}" for c in kept[at : at + 50]) for at in range(0, len(kept), 50)]
    before, after = (reference.encode(texts) for reference in references[name])
    assert [text for text, a, b in zip(texts, before, after, strict=True) if a != b] == []


# Tokens dropped


@pytest.fixture(scope="module")
def small_rows(ko_small: pl.Series) -> pl.DataFrame:
    return vocabulary_of_words(ko_small.gather_every(200).to_list(), 1_500, NARROW)


def some_of(tokens: Iterable[str], share: float, rng: random.Random) -> list[str]:
    return [token for token in tokens if rng.random() < share]


@pytest.mark.parametrize(
    ("name", "script"), [("gpt2", "Hangul"), ("qwen2", "Hangul"), ("gpt2", "Greek"), ("qwen2", "Thai")]
)
def test_a_later_target_is_the_earlier_one_less_some_merges(
    data: Path, byte_level: ByName, small_rows: pl.DataFrame, name: str, script: str
) -> None:
    """What `refine` counts on: the merges of fewer tokens are those of more, less those that need what is gone."""
    base, rng, of = byte_level(name), random.Random(0), script_of(script)
    if script != "Hangul":
        texts = pl.read_ndjson(data / "other.jsonl.zst").filter(pl.col("text").str.contains(f"[{of.candidates}]"))[
            "text"
        ]
        small_rows = vocabulary_of_words(texts.to_list(), 1_000, of.in_bytes)
    every = Vocabulary.of(small_rows, base.texts)
    compared = 0
    for share, later in [(share, later) for share in (0, 0.02, 0.3) for later in (0.001, 0.01, 0.1, 0.5)]:
        first = every.without(every.rows(some_of(small_rows["token"], share, rng))).reachable()
        then = first.without(first.rows(some_of(first.tokens(first.leaves()), later, rng))).reachable()
        assert not (first.there & ~then.there & first.table["base"]).any()  # leaves alone went
        more, fewer = build_target(base, first.frame(), of), build_target(base, then.frame(), of)
        dropped = more.ids.keys() - fewer.ids.keys()
        left = [m for m in tokenizer_merges(more) if not dropped.intersection([*m, "".join(m)])]
        assert tokenizer_merges(fewer) == left
        compared += bool(dropped)
    assert compared >= 8


def test_every_token_of_part_of_a_vocabulary_is_reachable(byte_level: ByName, small_rows: pl.DataFrame) -> None:
    base, rng = byte_level("qwen2"), random.Random(1)
    every = Vocabulary.of(small_rows, base.texts)
    for share in (0.01, 0.1, 0.3):
        part = every.without(every.rows(some_of(small_rows["token"], share, rng))).reachable()
        target, tokens = build_target(base, part.frame()), part.tokens(part.there)
        assert base_pieces(target, tokens) == [[target.texts[token]] for token in tokens]


# Refused


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["model"].update(dropout=0.1), "drops merges at random"),
        (lambda c: c["model"].update(end_of_word_suffix="</w>"), "where in a word"),
        (lambda c: c.update(normalizer={"type": "NFKC"}), r"normalises text \(NFKC\)"),
        (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "puts a space before a text"),
        (lambda c: c.update(pre_tokenizer=None), "does not read text in bytes"),
        (lambda c: c["model"]["vocab"].update(more=c["model"]["vocab"].pop("õ")), "for the byte 245"),
    ],
)
def test_bases_of_another_style(byte_level: ByName, change: Callable[[dict[str, Any]], object], reason: str) -> None:
    with pytest.raises(TokenizerError, match=f"not a byte-level tokenizer that kovocab covers: .*{reason}"):
        build_target(changed(byte_level("gpt2"), change), ROWS)


def test_jamo_that_share_their_bytes_with_another_script_are_no_tokens(byte_level: ByName) -> None:
    with pytest.raises(TokenizerError, match=r"row 0 .*'ㄱ'.* not made of Hangul .*, but for those that a byte"):
        build_target(byte_level("gpt2"), vocabulary(("ㄱ", None, None)))


def test_the_base_of_a_byte_level_target_cannot_be_had(targets: dict[str, TokenizerJson]) -> None:
    assert base_of(targets["gpt2"], 50_257) is None


def test_a_target_can_be_expanded_again(byte_level: ByName, ko_small: pl.Series, small_rows: pl.DataFrame) -> None:
    """Its own tokens of Hangul come from another part of the text; those of them that are lost are counted."""
    base = build_target(byte_level("gpt2"), small_rows)
    more = vocabulary_of_words(ko_small.gather_every(200, 100).to_list(), 1_500, NARROW)
    target = build_target(base, more)
    checked = check_promises(base, target, ko_small.gather_every(500), more)
    assert checked["base_tokens"] == base.size
    assert checked["new_tokens"] + checked["base_tokens_reachable"] == len(more)
    own = small_rows["token"].to_list()
    lost = [token for token, found in zip(own, base_pieces(target, own), strict=True) if len(found) > 1]
    assert len(lost) <= 0.01 * len(own)


def test_an_added_token_is_no_part_of_another(byte_level: ByName) -> None:
    # `앉` begins as `안` does, and `한국` is a part of a longer token of the base, if it were one that merges.
    base = with_added(byte_level("gpt2"), "앉", "한국")
    rows = vocabulary(("안", None, None), ("녕", None, None), ("안녕", "안", "녕"))
    target = build_target(base, rows)
    check_promises(base, target, ["안녕 앉다 한국어 한국", "the end"], rows)
    assert [target.text_of[i] for i in ids(target, ["앉안녕한국"])[0]] == ["앉", "안녕", "한국"]
