"""Build and save: against SentencePiece, against transformers, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sentencepiece

from kovocab import count_tokens
from kovocab.building.promises import check_model, check_promises
from kovocab.building.saving import save_tokenizer
from kovocab.building.target import build_target, build_target_model
from kovocab.errors import TokenizerError
from kovocab.refining.base_folder import check_base
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support import reference
from support.sentencepiece_base import ROWS, SENTENCES, changed_model, differing
from support.vocabularies import (
    changed,
    ids,
    pieces,
    tokenizer_merges,
    train_vocabulary,
    vocabulary,
    with_added,
)

# Building


def test_new_ids_follow_the_base_in_the_order_of_the_vocabulary(base: TokenizerJson) -> None:
    assert "안" in base.ids
    assert "녕" not in base.ids
    target = build_target(base, ROWS)
    new = [token for token in ROWS["token"] if token not in base.ids]
    assert [target.ids[token] for token in new] == list(range(32_000, 32_000 + len(new)))
    assert target.ids["안"] == base.ids["안"]
    assert base.size == 32_000
    assert target.size == len(target.ids) == 32_000 + len(new)
    assert pieces(target, "안녕 안녕ㅋㅋ!") == ["▁안녕", "▁안녕", "ㅋㅋ", "!"]


def test_new_merges_stand_between_the_base_s_and_the_runs_of_spaces(base: TokenizerJson) -> None:
    old, new = tokenizer_merges(base), tokenizer_merges(build_target(base, ROWS))
    at = new.index(("안", "녕"))
    assert new[at : at + 3] == [("안", "녕"), ("▁", "안녕"), ("ㅋ", "ㅋ")]
    assert new[:at] + new[at + 3 :] == old
    assert len(old) - at == 104
    assert not "".join(left + right for left, right in old[at:]).strip("▁")


def test_the_same_input_gives_the_same_bytes(base: TokenizerJson, base_model_file: Path) -> None:
    assert build_target(base, ROWS).text == build_target(base, ROWS).text
    model = base_model_file.read_bytes()
    assert build_target_model(model, ROWS) == build_target_model(model, ROWS)


def test_added_tokens_that_the_model_lacks_keep_their_ids(base: TokenizerJson) -> None:
    chat = with_added(with_added(base, "<|start|>"), "<|more|>", special=False)
    assert chat.size == 32_002
    target = build_target(chat, ROWS)
    assert target.ids["<|start|>"] == 32_000
    assert target.ids["<|more|>"] == 32_001
    assert target.ids["녕"] == 32_002
    assert ids(target, ["<|start|>안녕<|more|>"])[0][0] == 32_000


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("hello", "hel", "lo")], r"row 0 of the vocabulary \('hello'\) is not made of Hangul"),
        ([("▁", None, None)], "is not made of Hangul"),
        ([("안▁녕", "안", "▁녕")], "is not made of Hangul"),
        ([("\u1112", None, None)], "is not made of Hangul"),
        ([(None, None, None)], "is not made of Hangul"),
        ([("녕", None, None), ("녕", None, None)], "row 1 .* repeats an earlier row"),
        ([("안녕", None, None)], "has no parts; only a single character may"),
        ([("안녕", "안", None)], "is not the two parts '안' and None"),
        ([("안녕", "안", "영")], "is not the two parts '안' and '영'"),
        ([("안녕", "안", "녕"), ("녕", None, None)], "row 0 .* has the part '녕', which neither"),
    ],
)
def test_rows_that_cannot_be_used(
    base: TokenizerJson, base_model_file: Path, rows: list[tuple[str, str, str]], reason: str
) -> None:
    with pytest.raises(TokenizerError, match=reason):
        build_target(base, vocabulary(*rows))
    with pytest.raises(TokenizerError, match=reason):
        build_target_model(base_model_file.read_bytes(), vocabulary(*rows))


def test_a_vocabulary_without_parts_is_refused(base: TokenizerJson) -> None:
    with pytest.raises(TokenizerError, match="lacks column 'left'"):
        build_target(base, ROWS.select("token"))


def test_special_tokens_are_no_tokens_of_a_vocabulary(base: TokenizerJson) -> None:
    korean = with_added(base, "안녕")
    with pytest.raises(TokenizerError, match=r"'안녕'\) repeats an earlier row or a special token"):
        build_target(korean, ROWS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["model"].update(byte_fallback=False), "no byte fallback"),
        (lambda c: c["model"].update(dropout=0.1), "drops merges at random"),
        (lambda c: c["model"].update(end_of_word_suffix="</w>"), "where in a word"),
        (lambda c: c.update(pre_tokenizer={"type": "WhitespaceSplit"}), r"cuts text into words \(Whitesp"),
        (lambda c: c.update(normalizer={"type": "NFKC"}), r"normalises text \(NFKC\)"),
        (
            lambda c: c.update(model={"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}),
            "its model is WordLevel",
        ),
        (
            lambda c: c["model"].update(vocab={"<unk>": 0, "<s>": 1, "</s>": 2}, merges=[]),
            "no token ▁ for a space",
        ),
    ],
)
def test_bases_of_another_style(base: TokenizerJson, change: Callable[[dict[str, Any]], object], reason: str) -> None:
    with pytest.raises(TokenizerError, match=reason):
        build_target(changed(base, change), ROWS)


def test_a_base_with_metaspace_is_of_the_same_style(base: TokenizerJson) -> None:
    # As transformers 5 saves a LlamaTokenizer.
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False}
    other = changed(base, lambda c: c.update(normalizer=None, pre_tokenizer=metaspace))
    # Where a text begins with a space, Metaspace puts no other before it.
    texts = [text for text in SENTENCES if not text.startswith(" ")]
    assert ids(build_target(other, ROWS), texts) == ids(build_target(base, ROWS), texts)


def test_gemmas_style_is_the_same_without_a_space_before(base: TokenizerJson) -> None:
    # Its runs of `▁` and newlines are added tokens too, which are found in the text as it stands.
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    cut = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)

    def gemma(config: dict[str, Any]) -> None:
        config.update(normalizer=spaces, pre_tokenizer=cut)
        config["added_tokens"] += [
            flags | {"id": base.ids.get(text, base.size), "content": text} for text in ("▁▁", "\n\n\n")
        ]

    other = changed(base, gemma)
    target = build_target(other, ROWS)
    texts = [*SENTENCES, " 안녕  하세요\n\n\n\n x", "▁▁ 안녕▁▁▁하", "  ", "▁"]
    check_promises(other, target, texts, ROWS)
    counted = count_tokens(pl.Series(texts), target)["count"].to_list()
    assert counted == list(reference.token_counts(texts, target))
    assert pieces(target, " 안녕 x") == ["▁안녕", "▁x"]


# The target's model


def test_a_model_whose_scores_leave_no_room(base_model_file: Path) -> None:
    def low(proto: Any) -> None:
        proto.pieces[31_999].score = -(2.0**24)

    with pytest.raises(TokenizerError, match="no room for 6 distinct new ones"):
        build_target_model(changed_model(base_model_file, low), ROWS)

    def spaces(proto: Any) -> None:
        next(piece for piece in proto.pieces if piece.piece == "▁▁").score = -31_745

    with pytest.raises(TokenizerError, match=r"run of spaces '▁▁' -31745\.0; wanted it below -31752"):
        build_target_model(changed_model(base_model_file, spaces), ROWS)


def test_a_model_with_a_self_test_still_loads(base_model_file: Path) -> None:
    # Field 4 of ModelProto, which the reader that sentencepiece ships does not know: one text and its pieces.
    text, pieces = "안녕".encode(), "▁ 안 <0xEB> <0x85> <0x95>".encode()
    sample = b"\x0a%c%b\x12%c%b" % (len(text), text, len(pieces), pieces)
    tested = base_model_file.read_bytes() + b"\x22%c\x0a%c%b" % (len(sample) + 2, len(sample), sample)
    sentencepiece.SentencePieceProcessor(model_proto=tested)
    target = build_target_model(tested, ROWS)
    assert sentencepiece.SentencePieceProcessor(model_proto=target).encode("안녕", out_type=str) == ["▁안녕"]


# A target as a base


def cut_off(tokenizer: TokenizerJson, rows: pl.DataFrame) -> list[str]:
    """The tokens that their own text does not give."""
    tokens = rows["token"].to_list()
    pieces = base_pieces(tokenizer, tokens)
    return [t for t, p in zip(tokens, pieces, strict=True) if p != [tokenizer.ids[t]]]


def test_a_target_can_be_expanded_again(data: Path, base: TokenizerJson, base_model_file: Path) -> None:
    texts = pl.read_ndjson(data / "ko_small.jsonl.zst")["text"].head(12_000)
    first, second = (train_vocabulary(texts.gather_every(2, i).to_list(), 2_000 + 1_000 * i) for i in (0, 1))
    once = build_target(base, first)
    twice = build_target(once, second)
    old = once.ids
    assert old.items() <= twice.ids.items()
    assert {token for token in second["token"] if token not in old} == twice.ids.keys() - old.keys()
    assert cut_off(twice, second) == []
    # Of the base's own tokens, the odd one whose text the new merges above cut in three is lost.
    assert len(cut_off(twice, first)) <= 0.005 * len(first)
    merges = tokenizer_merges(twice)
    assert len(set(merges)) == len(merges)
    model = build_target_model(build_target_model(base_model_file.read_bytes(), first), second)
    assert differing(twice, model, texts.to_list()) == []


def test_new_merges_stand_above_those_of_a_base_that_merges_hangul(base: TokenizerJson) -> None:
    once = build_target(base, vocabulary(("녕", None, None), ("안녕", "안", "녕"), ("▁안", "▁", "안")))
    assert pieces(once, "안녕") == ["▁", "안녕"]
    twice = build_target(once, vocabulary(("▁안", "▁", "안"), ("▁안녕", "▁안", "녕")))
    assert pieces(twice, "안녕") == ["▁안녕"]
    assert tokenizer_merges(twice)[:3] == [("▁", "안"), ("▁안", "녕"), ("▁", "안녕")]
    assert twice.ids["▁안"] == once.ids["▁안"]


# Saving


def opened(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers", reason="pip install kovocab[train]")
    return transformers.AutoTokenizer.from_pretrained(folder)


TEXTS = (*SENTENCES, "a</s>b c<s> d <unk>", "안녕</s> 안녕", "<s>안녕 ㅋㅋㅋ")


def assert_opens_as_it_is(folder: Path, target: TokenizerJson) -> None:
    auto, reference = opened(folder), Reference(target)
    for text, whole in zip(TEXTS, reference.encode(TEXTS, template=True), strict=True):
        assert auto(text)["input_ids"] == whole
        assert auto(text, add_special_tokens=False)["input_ids"] == ids(target, [text])[0]
        assert auto.decode(whole) == reference.decode(whole)
    assert (auto.bos_token, auto.eos_token, auto.unk_token) == ("<s>", "</s>", "<unk>")
    assert len(auto) == target.size
    assert set(auto("안녕")) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("model_type", [None, "llama", "mistral"])
def test_what_is_saved_opens_in_transformers(
    base: TokenizerJson, base_model_file: Path, tmp_path: Path, model_type: str | None
) -> None:
    target = build_target(base, ROWS)
    save_tokenizer(target, tmp_path, base_source=base_model_file, vocabulary=ROWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    ]
    if model_type:  # as in a model's folder
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert load_tokenizer(tmp_path).text == target.text
    assert differing(target, (tmp_path / "tokenizer.model").read_bytes(), list(SENTENCES)) == []
    assert_opens_as_it_is(tmp_path, target)


def test_a_base_folder_brings_its_settings(base: TokenizerJson, base_model_file: Path, tmp_path: Path) -> None:
    source, folder = tmp_path / "base", tmp_path / "target"
    source.mkdir()
    (source / "tokenizer.json").write_text(base.pretty())
    (source / "tokenizer.model").write_bytes(base_model_file.read_bytes())
    (source / "chat_template.jinja").write_text("{{ messages }}")
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": True,
        "sp_model_kwargs": {},
        "model_max_length": 4096,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": None,
    }
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    target = build_target(base, ROWS)
    save_tokenizer(target, folder, base_source=source, vocabulary=ROWS)
    assert_opens_as_it_is(folder, target)
    auto = opened(folder)
    assert auto.model_max_length == 4096
    assert auto.chat_template == "{{ messages }}"
    assert "legacy" not in json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    # Nothing of it depends on when or how often it is written.
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    save_tokenizer(build_target(base, ROWS), folder, base_source=source, vocabulary=ROWS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (source / "tokenizer_config.json").write_text("[]")
    with pytest.raises(TokenizerError, match=r"tokenizer_config\.json: wanted an object, got list"):
        save_tokenizer(target, folder, base_source=source, vocabulary=ROWS)
    (source / "tokenizer_config.json").write_text("{")
    with pytest.raises(TokenizerError, match=r"tokenizer_config\.json is not JSON"):
        save_tokenizer(target, folder, base_source=source, vocabulary=ROWS)


def test_a_base_without_model_gets_one(base: TokenizerJson, tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(base.pretty())
    target = build_target(base, ROWS)
    for name, source in {"a": base, "b": tmp_path / "base.json"}.items():
        save_tokenizer(target, tmp_path / name, base_source=source, vocabulary=ROWS)
        files = sorted(path.name for path in (tmp_path / name).iterdir())
        assert files == ["tokenizer.json", "tokenizer.model", "tokenizer_config.json"]
        assert check_model(target, (tmp_path / name / "tokenizer.model").read_bytes(), ["안녕 ㅋㅋ", " a  b\n"]) == 2
        assert_opens_as_it_is(tmp_path / name, target)


def test_a_model_that_numbers_otherwise_is_not_written(
    base: TokenizerJson, base_model_file: Path, tmp_path: Path
) -> None:
    def swap(config: dict[str, Any]) -> None:
        vocab = config["model"]["vocab"]
        vocab["▁the"], vocab["▁and"] = vocab["▁and"], vocab["▁the"]

    other = changed(base, swap)
    (tmp_path / "tokenizer.json").write_text(other.pretty())
    (tmp_path / "tokenizer.model").write_bytes(base_model_file.read_bytes())
    wanted = r"'▁(the|and)' is \d+ in it and \d+ in the other"
    plan = check_base(tmp_path)
    assert plan.source == "ranks"
    assert plan.why is not None
    assert re.search(wanted, plan.why)
    with pytest.raises(TokenizerError, match=wanted):
        save_tokenizer(build_target(other, ROWS), tmp_path / "target", base_source=tmp_path, vocabulary=ROWS)
    assert not (tmp_path / "target").exists()
