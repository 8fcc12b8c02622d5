"""Byte-level tokenizers: words are what their pattern cuts, and token counts are `tokenizers`' own, id by id."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings

from kovocab import _core, count_tokens, count_words
from kovocab.counting.count import count
from kovocab.errors import TokenizerError
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support import reference
from support.byte_level import CL100K, CONTRACTIONS, MARKS, O200K, SEVERAL, added, hard_text, load, split_by, tiny
from support.vocabularies import tokenizer_of, with_added

any_pattern = pytest.mark.skipif(
    not hasattr(tokenizers, "trainers"), reason="this version of tokenizers encodes by published patterns alone"
)
NAMES = ["gpt2", "phi2", "qwen2", "llama3"]
ENGINES: dict[str, tuple[TokenizerJson, _core.Bpe]] = {}


def engine(data: Path, name: str) -> tuple[TokenizerJson, _core.Bpe]:
    """A real tokenizer and its engine, made once."""
    if name not in ENGINES:
        tokenizer = load(data, name)
        ENGINES[name] = tokenizer, bpe_of(tokenizer)
    return ENGINES[name]


def tokens(bpe: _core.Bpe, texts: list[str] | pl.Series) -> dict[int, int]:
    counter = _core.TokenCounter(2)
    counter.update(bpe, pl.Series(texts, dtype=pl.String))
    return non_zero(pl.DataFrame(counter.counts(bpe))["count"].to_numpy())


def expected(texts: list[str] | pl.Series, tokenizer: TokenizerJson) -> dict[int, int]:
    return non_zero(reference.token_counts(texts, tokenizer))


def non_zero(counts: Any) -> dict[int, int]:
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}


@pytest.mark.parametrize("name", NAMES)
def test_real_text_is_counted_id_by_id(data: Path, ko_small: pl.Series, name: str) -> None:
    tokenizer, bpe = engine(data, name)
    files = [("en", 9), ("other", 7), ("en_ko_pairs", 90)]
    others = [pl.read_ndjson(data / f"{file}.jsonl.zst", infer_schema_length=None) for file, _ in files]
    texts = [frame[frame.columns[0]].gather_every(every) for frame, (_, every) in zip(others, files, strict=True)]
    for some in [ko_small.gather_every(11), *texts]:
        assert tokens(bpe, some) == expected(some, tokenizer)


@pytest.mark.parametrize("name", NAMES)
def test_hard_text_is_counted_id_by_id(data: Path, name: str) -> None:
    tokenizer, bpe = engine(data, name)
    library = reference.as_library(tokenizer)

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(hard_text)
    def same(text: str) -> None:
        ids = Counter(library.encode([text])[0])
        assert tokens(bpe, [text]) == dict(ids)

    same()
    for run in ("가", "a", " ", "\n", "1", "ㅋ", "'s", "!", "\t", "\u1112\u1161\u11ab", "漢"):
        same.hypothesis.inner_test(run * 3_000)


@any_pattern
@pytest.mark.parametrize(
    ("what", "parts"),
    {
        "a space before text": {
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        },
        "three digits": {"pre_tokenizer": split_by(CONTRACTIONS + CL100K)},
        "other contractions": {"pre_tokenizer": split_by("'(?i:[sdmt]|ll|ve|re)|" + CL100K)},
        "marks are letters": {"pre_tokenizer": split_by(CONTRACTIONS + MARKS)},
        "a newer pattern": {"pre_tokenizer": split_by(O200K)},
        "three patterns": {"pre_tokenizer": split_by(*SEVERAL)},
        "digits": {"pre_tokenizer": split_by(steps=({"type": "Digits", "individual_digits": True},), gpt2=True)},
        "runs of digits": {
            "pre_tokenizer": split_by(steps=({"type": "Digits", "individual_digits": False},), gpt2=True)
        },
        "a text": {
            "pre_tokenizer": split_by(
                CONTRACTIONS + CL100K,
                steps=({"type": "Split", "pattern": {"String": "("}, "behavior": "Isolated", "invert": False},),
            ),
            "normalizer": {"type": "NFC"},
        },
        "nothing cuts": {"pre_tokenizer": split_by()},
        "NFC": {"normalizer": {"type": "NFC"}},
        "NFC in a sequence": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}},
    }.items(),
)
def test_each_setting_is_counted_id_by_id(what: str, parts: dict[str, Any]) -> None:
    plain = tokenizer_of(tiny(**parts))
    size = plain.size
    some = [
        added("<|im_start|>", size),
        added("  안녕", size + 1, normalized=True),
        added("나무 X", size + 2, lstrip=True),
    ]
    some += [
        added("theX", size + 3, rstrip=True, lstrip=True),
        added("  ", size + 4),
        added("\u1112\u1161", size + 5, normalized=True),
    ]
    for tokenizer in (plain, tokenizer_of(tiny(**parts, added_tokens=some))):
        bpe, library = bpe_of(tokenizer), reference.Reference(tokenizer)

        @settings(max_examples=150, deadline=None)
        @given(hard_text)
        def same(text: str) -> None:
            text = text.replace("XYZ", " theX ").replace("가나", "  나무 X").replace("é", "\u1112\u1161")
            assert tokens(bpe, [text]) == dict(Counter(library.encode([text])[0])), what  # noqa: B023

        same()


def test_words_are_what_the_pattern_cuts_with_the_space_as_a_mark() -> None:
    words = count_words(pl.Series(["the 안녕 ▁나무's 12  the", " 안녕"]), tokenizer_of(tiny()))
    assert dict(words.iter_rows()) == {
        "the": 1, "▁안녕": 2, "▁ ": 1, "나무": 1, "'s": 1, "▁12": 1, "▁": 1, "▁the": 1,
    }  # fmt: skip
    counts = count_tokens(words, tokenizer_of(tiny()))
    text = pl.Series(["the 안녕 ▁나무's 12  the", " 안녕"])
    assert counts["count"].to_list() == count_tokens(text, tokenizer_of(tiny()))["count"].to_list()


def test_phi2s_runs_of_spaces_are_found_before_the_text_is_cut(data: Path) -> None:
    tokenizer, bpe = engine(data, "phi2")
    counted = {tokenizer.tokens[i]: count for i, count in tokens(bpe, ["  안녕", "   the", "\t\t\tx  "]).items()}
    assert counted["  "] == 2
    assert counted["   "] == counted["the"] == counted["\t\t\t"] == counted["x"] == 1
    assert "Ġthe" not in counted


@any_pattern
@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"pre_tokenizer": split_by(r"\p{L}+|.")}, "a pattern that kovocab does not read"),
        ({"pre_tokenizer": split_by(steps=({"type": "Punctuation", "behavior": "Isolated"},))}, "does not read"),
        ({"normalizer": {"type": "NFKC"}}, "its normaliser is not NFC"),
        ({"added_tokens": [added("나무", 300, single_word=True)]}, "found as a single word only"),
        ({"added_tokens": [added(" ", 300, lstrip=True, rstrip=True)]}, "is white space and strips what is before it"),
        (
            {"added_tokens": [added("<x>", 300, rstrip=True), added("\n", 301, lstrip=True)]},
            'is white space and strips what is before it, as "<x>" what is behind it',
        ),
        ({"normalizer": {"type": "NFC"}, "added_tokens": [added("가", 300)]}, "what NFC makes of other text"),
        (
            {
                "pre_tokenizer": {
                    "type": "ByteLevel",
                    "add_prefix_space": True,
                    "trim_offsets": True,
                    "use_regex": True,
                },
                "added_tokens": [added(" 나무", 300)],
            },
            "may be other text behind a space that it adds",
        ),
    ],
)
def test_what_has_no_scanner_is_counted_by_documents_and_says_why(
    parts: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain = tokenizer_of(tiny())
    for at, token in enumerate(parts.get("added_tokens", [])):
        token["id"] = plain.size + at
    tokenizer = tokenizer_of(tiny(**parts))
    texts = pl.Series(["the 안녕 나무 12 ﬁ", "나무12 가", "x\u1100\u1161가", "\u1100\u1161"])
    with caplog.at_level(logging.WARNING):
        counted = count_tokens(texts, tokenizer)
    assert said in caplog.text
    assert counted["count"].to_list() == list(reference.token_counts(texts, tokenizer))
    with pytest.raises(TokenizerError, match=said):
        count_words(texts, tokenizer)


# Some mean something else to Oniguruma than to other engines: those are refused, and counted by documents.
PATTERNS = [
    r"\p{N}{1,3}+", r"\p{N}{2}?|\p{L}+", r"\<|\p{L}+", r"a\>", "[+--]", "[!--]+", "[a-z--b]+", "[a~~b]", "[a||b]+",
    "[&a&]", r"[^\S\n]+", r"\p{Lu}?\p{Ll}++|\p{N}{2,}", r"(?:a|b)*b|(?!\s)\p{P}", r"[\p{Han}ㄱ-힣]+|\d", r"x*",
    "b{,2}|a{2", "[^-a]+", "[]a]", "a|", r"(a*)*b", r"[\^a]", r"\p{Punct}+", r"\h+", r"[[:alpha:]]+", r"\w+", "^a|b$",
    ".", r"(?i:st)", r"\p{Nd}?+ ?\p{L}", "(?=a)a.?",
]  # fmt: skip


@any_pattern
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_read_as_the_tokenizer_reads_it_or_not_at_all(pattern: str) -> None:
    tokenizer = tokenizer_of(tiny(pre_tokenizer=split_by(pattern)))
    texts = ["1234567 abc  12 (a-b) + , - . <a> ab", "가나12漢 St ﬆ || && ~~ ^x] {2", "aab\n\t Abc XYz!! ² ४५", ""]
    counted = count_tokens(pl.Series(texts), tokenizer)
    assert counted["count"].to_list() == list(reference.token_counts(texts, tokenizer))


def test_special_tokens_with_marks_and_spaces_are_told(data: Path) -> None:
    tokenizer = with_added(engine(data, "gpt2")[0], "<|begin▁of▁text|>", "<| end |>")
    record = count(pl.Series(["a<|begin▁of▁text|>b", "<| end |><| end |> <|endoftext|>"]), tokenizer).record
    assert record["special_tokens"] == {"<| end |>": 2, "<|begin▁of▁text|>": 1, "<|endoftext|>": 1}
