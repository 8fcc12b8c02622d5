"""The library `tokenizers`: it makes of our file what it makes of the one that we read; somebody's Tokenizer."""

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tokenizers import Tokenizer

from kovocab import count_tokens
from kovocab.errors import TokenizerError
from kovocab.machine.memory import used
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, OtherModel, TokenizerJson
from support.vocabularies import in_use_elsewhere


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2", "phi2"])
def test_ids_and_text_are_those_of_the_file_itself(data: Path, name: str, ko_small: pl.Series) -> None:
    path = data / "tokenizers" / name / "tokenizer.json"
    library, reference = Tokenizer.from_file(str(path)), Reference(load_tokenizer(path))
    texts = [*ko_small.gather_every(400), *pl.read_ndjson(data / "other.jsonl.zst")["text"].gather_every(100)]
    for text, ids, whole in zip(texts, reference.encode(texts), reference.encode(texts, template=True), strict=True):
        assert library.encode(text, add_special_tokens=False).ids == ids
        assert library.encode(text).ids == whole
        assert library.decode(whole, skip_special_tokens=False) == reference.decode(whole)
        assert library.decode(whole) == reference.decode(whole, special=False)


def test_base_pieces_are_those_of_the_library_s_model(base: TokenizerJson) -> None:
    model = in_use_elsewhere(base).model
    tokens = ["▁안녕", "안녕", "▁", "▁▁▁▁a", "뷁", "the", "", "▁the▁the"]
    assert base_pieces(base, tokens) == [[piece.id for piece in model.tokenize(token)] for token in tokens]


def test_somebody_s_tokenizer_is_read_and_not_changed(base: TokenizerJson) -> None:
    library = in_use_elsewhere(base)
    library.enable_truncation(3)
    library.enable_padding(length=9)
    assert load_tokenizer(library) == base
    assert (library.truncation["max_length"], library.padding["length"]) == (3, 9)


def test_special_tokens_that_somebody_encodes_as_text(base: TokenizerJson) -> None:
    library = in_use_elsewhere(base)
    library.encode_special_tokens = True
    document = load_tokenizer(library)
    assert document.encode_special_tokens
    assert Reference(document).encode(["a<s>b"]) == [library.encode("a<s>b", add_special_tokens=False).ids]
    assert count_tokens(pl.Series(["a<s>b"]), library).filter(token="<s>")["count"].item() == 0
    assert count_tokens(pl.Series(["a<s>b"]), base).filter(token="<s>")["count"].item() == 1


def test_a_tokenizer_of_transformers_is_taken_as_the_one_it_holds(mistral: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="pip install kovocab[train]")
    opened = transformers.AutoTokenizer.from_pretrained(mistral.parent)
    texts = pl.Series(["안녕하세요 세계", "Hello  world\n</s>"])
    assert count_tokens(texts, opened).equals(count_tokens(texts, mistral))
    opened.add_tokens(["안녕하세요"])
    assert load_tokenizer(opened).ids["안녕하세요"] == 32_000
    assert Reference(load_tokenizer(opened)).encode(texts.to_list()) == [
        opened(text, add_special_tokens=False)["input_ids"] for text in texts
    ]


def test_special_tokens_as_text_in_every_version(base: TokenizerJson) -> None:
    document = replace(base, encode_special_tokens=True)
    assert base.ids["<s>"] in Reference(base).encode(["a<s>b"])[0]
    assert base.ids["<s>"] not in Reference(document).encode(["a<s>b"])[0]


def test_what_is_no_tokenizer_is_said(base: TokenizerJson) -> None:
    with pytest.raises(TokenizerError, match=r"a int does not give its tokenizer\.json; wanted a path or a Tokenizer"):
        load_tokenizer(5)  # type: ignore[arg-type]
    unknown = OtherModel({"a": 0}, "Nonsense", {"type": "Nonsense"})
    with pytest.raises(TokenizerError, match=r"^some/file cannot be read by tokenizers: "):
        Reference(TokenizerJson(unknown, name="some/file"))
    lacking = OtherModel({"a": 0}, "WordLevel", {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"})
    with pytest.raises(TokenizerError, match=r"^some/file cannot encode by tokenizers: ") as caught:
        Reference(TokenizerJson(lacking, name="some/file")).encode(["b"])
    assert "\n" not in str(caught.value)


def test_a_part_that_is_python_is_said(base: TokenizerJson) -> None:
    library = in_use_elsewhere(base)
    library.normalizer = __import__("tokenizers.normalizers").normalizers.Normalizer.custom(object())
    with pytest.raises(TokenizerError, match=r"the Tokenizer does not give its tokenizer\.json: .*; wanted a path"):
        load_tokenizer(library)


def test_a_later_version_is_told_to_give_the_path(base: TokenizerJson) -> None:
    library: Any = Reference(base).library
    if hasattr(library, "to_str"):
        pytest.skip("this version of tokenizers gives a Tokenizer's file back")
    with pytest.raises(TokenizerError, match=r"a Tokenizer does not give its tokenizer\.json; wanted a path"):
        load_tokenizer(library)


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2"])
def test_the_file_on_one_line_is_json_as_python_writes_it(data: Path, name: str) -> None:
    document = load_tokenizer(data / "tokenizers" / name / "tokenizer.json")
    every = "".join(chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000)
    assert isinstance(document.model, BpeModel)
    model = replace(document.model, vocab={**document.model.vocab, every: 99_999}, merges=[*document.model.merges])
    for each in (document, replace(document, model=model), replace(document, model=replace(model, merges=[]))):
        assert each.text == json.dumps(each._to_json(), ensure_ascii=False, separators=(",", ":"))


def test_the_model_alone_of_a_reference_is_that_of_its_file(base: TokenizerJson) -> None:
    tokens = ["▁안녕", "안녕", "<s>", "a b", "▁the▁the"]
    assert isinstance(base.model, BpeModel)
    for ignore_merges in (False, True):
        document = replace(base, model=replace(base.model, ignore_merges=ignore_merges))
        alone = Reference.alone(Reference(document))
        assert alone.encode(tokens) == Reference(document.model_alone()).encode(tokens)
        assert alone.document == document.model_alone()


def test_errors_name_the_file(base_model_file: Path) -> None:
    assert load_tokenizer(base_model_file).name == str(base_model_file)
    assert load_tokenizer(base_model_file).model_alone().name == str(base_model_file)


def test_the_model_alone_takes_text_as_it_stands(base: TokenizerJson) -> None:
    alone = base.model_alone()
    assert json.loads(alone.text)["normalizer"] is None
    assert alone.added_tokens == ()
    assert Reference(alone).encode(["안", "▁안"]) == [[base.ids["안"]], [base.ids["▁"], base.ids["안"]]]


def test_what_is_used_once_leaves_nothing_in_memory(base: TokenizerJson) -> None:
    syllables = "".join(map(chr, range(0xAC00, 0xAC00 + 100)))
    texts = [" ".join(a + b + c for c in syllables[:20]) for a in syllables[:40] for b in syllables[:25]]

    def use() -> None:
        Reference(base, once=True).encode(texts)
        gc.collect()

    use()
    before = used()
    for _ in range(12):
        use()
    assert used() - before < 12e6  # of tokenizers 0.23 else some 3 to 7 MB each
