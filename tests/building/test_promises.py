"""The promises: kept on real text and on random strings; and each check catches a target that breaks it."""

import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.building.promises import (
    _PLANES,
    check_base_ids,
    check_decoding,
    check_model,
    check_promises,
    check_reachable,
    check_text_without_script,
)
from kovocab.building.target import build_target, build_target_model
from kovocab.errors import TokenizerError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.reference import as_library
from support.vocabularies import changed, tokenizer_merges, train_vocabulary, vocabulary, with_added

SENTENCES = [
    "안녕하세요 여러분, 한국어 문장입니다. 안녕하세요!",
    "한국어와 English를 섞은 문장\n\n    def f(x):\n        return x  # 함수\nplain line\n",
    "ㅋㅋㅋ 안녕 여러분 ㅠㅠ",
    "No Hangul here.",
]


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return train_vocabulary(SENTENCES * 3, 60)


@pytest.fixture(scope="module")
def target(base: TokenizerJson, rows: pl.DataFrame) -> TokenizerJson:
    return build_target(base, rows)


@pytest.fixture(scope="module")
def model(base_model_file: Path, rows: pl.DataFrame) -> bytes:
    return build_target_model(base_model_file.read_bytes(), rows)


# Kept


def test_the_base_s_side_is_the_engine_s_and_what_is_written_the_library_s(
    base: TokenizerJson, target: TokenizerJson, rows: pl.DataFrame, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is wrong keeps no promise; and each text is encoded once by the target."""
    encoded: list[str] = []

    def encode(self: Reference, texts: list[str], *, template: bool = False) -> list[list[int]]:
        encoded.extend(texts if self.document == target else [])
        assert self.document != base
        return library(self, texts, template=template)

    library = Reference.encode
    monkeypatch.setattr(Reference, "encode", encode)
    check_promises(base, target, SENTENCES, rows, model)
    assert len(encoded) == len(set(encoded))
    monkeypatch.setattr("kovocab.building.sides.Encoder.encode", lambda self, texts: [[5]] * len(texts))
    with pytest.raises(TokenizerError, match="promise 2"):
        check_promises(base, target, SENTENCES, rows, model)


def test_planes_that_are_left_out_hold_no_assigned_character() -> None:
    left_out = set(range(0x110000)).difference(*_PLANES)
    assert {unicodedata.category(chr(i)) for i in left_out} == {"Cn", "Co"}
    assert min(left_out) == 0x40000


@pytest.fixture(scope="module")
def korean_rows(data: Path) -> pl.DataFrame:
    return train_vocabulary(pl.read_ndjson(data / "ko_small.jsonl.zst")["text"].to_list(), 3_000)


@pytest.fixture(scope="module")
def korean_target(base: TokenizerJson, korean_rows: pl.DataFrame) -> Reference:
    return Reference(build_target(base, korean_rows))


@pytest.fixture(scope="module")
def korean_model(base_model_file: Path, korean_rows: pl.DataFrame) -> bytes:
    return build_target_model(base_model_file.read_bytes(), korean_rows)


@pytest.mark.parametrize(
    ("name", "documents", "with_hangul", "with_special"),
    [("ko_small", 41_453, 41_453, 0), ("en", 5_001, 1, 94), ("other", 3_553, 0, 1)],
)
def test_promises_on_real_text(
    data: Path,
    base: TokenizerJson,
    korean_rows: pl.DataFrame,
    korean_target: Reference,
    korean_model: bytes,
    name: str,
    documents: int,
    with_hangul: int,
    with_special: int,
) -> None:
    texts = pl.read_ndjson(data / f"{name}.jsonl.zst")["text"]
    checked = check_promises(as_library(base), korean_target, texts, korean_rows, korean_model)
    assert checked["base_tokens"] == 32_000
    old = sum(token in base.ids for token in korean_rows["token"])
    assert (checked["new_tokens"], checked["base_tokens_reachable"]) == (len(korean_rows) - old, old)
    assert len(korean_rows) == 2_999
    assert checked["texts_with_hangul"] == with_hangul
    assert checked["texts_without_hangul"] >= documents - with_hangul + 700
    assert checked["texts_in_model"] == documents - with_special


def test_promises_on_sentences(base: TokenizerJson, target: TokenizerJson, rows: pl.DataFrame, model: bytes) -> None:
    checked = check_promises(base, target, pl.Series(SENTENCES), rows, model)
    old = sum(token in base.ids for token in rows["token"])
    assert (checked["new_tokens"], checked["base_tokens_reachable"]) == (len(rows) - old, old)
    assert old > 0
    assert (checked["texts_with_hangul"], checked["texts_in_model"]) == (3, 4)
    without_model = check_promises(base, target, SENTENCES, rows)
    assert without_model == {name: count for name, count in checked.items() if name != "texts_in_model"}
    # The second sentence has three runs of lines without Hangul, and the last is empty.
    alone = check_promises(base, target, [], rows)["texts_without_hangul"]
    assert checked["texts_without_hangul"] == alone + 1 + 2


MIXED = st.text(
    st.one_of(
        st.sampled_from("안녕하세요여러분한국어와장입니다"),
        st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3),
        st.sampled_from("ㅋㅠㄱㅏᄒ\u1161\u11abㆍﾡ㉠"),
        st.sampled_from(" ▁\n\t.,!a"),
        st.characters(min_codepoint=0x20, max_codepoint=0x7E),
        st.characters(min_codepoint=0x4E00, max_codepoint=0x4FFF),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def references(base: TokenizerJson, target: TokenizerJson) -> list[Reference]:
    return [as_library(base), as_library(target)]


@settings(max_examples=300, deadline=None)
@given(text=MIXED)
def test_promises_on_random_strings(references: list[Reference], model: bytes, text: str) -> None:
    before, after = (reference.encode([text])[0] for reference in references)
    assert references[0].decode(before) == references[1].decode(after)
    if not HANGUL.holds(text):
        assert before == after
    assert check_model(references[1], model, [text]) == (not any(s in text for s in ("<s>", "</s>", "<unk>")))


# Broken


def test_a_changed_base_id(base: TokenizerJson, target: TokenizerJson, rows: pl.DataFrame) -> None:
    def swap(config: dict[str, Any]) -> None:
        vocab = config["model"]["vocab"]
        vocab["▁the"], vocab["▁of"] = vocab["▁of"], vocab["▁the"]

    the, of = base.ids["▁the"], base.ids["▁of"]
    with pytest.raises(TokenizerError, match=f"promise 1.*base token '▁the' has id {of} .* wanted {the}"):
        check_base_ids(base, changed(target, swap), rows)


def test_new_ids_in_another_order(base: TokenizerJson, target: TokenizerJson, rows: pl.DataFrame) -> None:
    with pytest.raises(TokenizerError, match=r"promise 1.*new token '.+' has id \d+ .* wanted 32000"):
        check_base_ids(base, target, rows.reverse())


def test_a_token_that_the_vocabulary_does_not_name(
    base: TokenizerJson, target: TokenizerJson, rows: pl.DataFrame
) -> None:
    more = with_added(target, "another", special=False)
    with pytest.raises(TokenizerError, match=f"'another' has id {target.size} .* wanted None"):
        check_base_ids(base, more, rows)
    with pytest.raises(TokenizerError, match=r"promise 1.*new token '.+' has id None"):
        check_base_ids(base, base, rows)


@pytest.mark.parametrize("part", ["normalizer", "post_processor", "decoder"])
def test_a_changed_pipeline(base: TokenizerJson, target: TokenizerJson, rows: pl.DataFrame, part: str) -> None:
    with pytest.raises(TokenizerError, match=f"promise 1.*the target's {part} is not the base's"):
        check_base_ids(base, changed(target, lambda config: config.update({part: None})), rows)


def test_a_merge_that_touches_english(base: TokenizerJson, target: TokenizerJson) -> None:
    def first(config: dict[str, Any]) -> None:
        config["model"]["merges"].remove(["e", "a"])
        config["model"]["merges"].insert(0, ["e", "a"])

    assert tokenizer_merges(base).index(("e", "a")) > 0
    broken = changed(target, first)
    with pytest.raises(TokenizerError, match=r"promise 2.*'Then she went .*differs from token \d+ on"):
        check_text_without_script(base, broken, ["Then she went to the theatre."])
    # In a document with Hangul it is found as well, where it has a line of its own.
    with pytest.raises(TokenizerError, match=r"promise 2.*'Then she went "):
        check_text_without_script(base, broken, ["안녕\nThen she went to the theatre.\n안녕"])


def test_a_character_of_another_script(base: TokenizerJson, target: TokenizerJson) -> None:
    def add(config: dict[str, Any]) -> None:
        config["model"]["vocab"]["㈱"] = len(config["model"]["vocab"])

    assert "㈱" not in base.ids
    # In no text that is given, but all characters are looked at.
    with pytest.raises(TokenizerError, match="promise 2"):
        check_text_without_script(base, changed(target, add), [])


def test_an_unreachable_token(target: TokenizerJson, rows: pl.DataFrame) -> None:
    token, left, right = rows.row(len(rows) - 1)

    def drop(config: dict[str, Any]) -> None:
        config["model"]["merges"].remove([left, right])

    reason = rf"promise 3.*the text of '{token}' encodes to \['{left}', '{right}'\]"
    with pytest.raises(TokenizerError, match=reason):
        check_reachable(changed(target, drop), rows)
    # `ignore_merges` finds whole texts in the vocabulary, and hides it from any test by text.
    hidden = changed(changed(target, drop), lambda config: config["model"].update(ignore_merges=True))
    with pytest.raises(TokenizerError, match=reason):
        check_reachable(hidden, rows)


def test_a_target_whose_merges_compete(base: TokenizerJson) -> None:
    # (녕, 하) fires first and leaves no 안녕 to be joined with 하.
    competing = vocabulary(("녕", None, None), ("녕하", "녕", "하"), ("안녕", "안", "녕"), ("안녕하", "안녕", "하"))
    with pytest.raises(TokenizerError, match=r"promise 3.*'안녕하' encodes to \['안', '녕하'\]"):
        check_promises(base, build_target(base, competing), SENTENCES, competing)


def test_decoding_that_loses_something(base: TokenizerJson, target: TokenizerJson) -> None:
    broken = changed(target, lambda config: config["decoder"]["decoders"].pop())
    with pytest.raises(TokenizerError, match=r"promise 4, decoding: '안녕.*comes back with ' 안녕하"):
        check_decoding(base, broken, SENTENCES)
    shorter = changed(
        base,
        lambda config: config["decoder"]["decoders"].append({"type": "Strip", "content": "!", "start": 0, "stop": 1}),
    )
    with pytest.raises(TokenizerError, match="promise 4"):
        check_decoding(base, shorter, ["안녕!"])


def test_a_model_that_differs(target: TokenizerJson, base_model_file: Path) -> None:
    with pytest.raises(TokenizerError, match=r"promise 5.*'안녕하세요 여러분.*differs from token 0"):
        check_model(target, base_model_file.read_bytes(), ["English first", *SENTENCES])
    with pytest.raises(TokenizerError, match=r"promise 5.*SentencePiece does not load it"):
        check_model(target, b"no model", SENTENCES)
