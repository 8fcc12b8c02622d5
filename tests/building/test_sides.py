"""The two sides of a promise give what the library gives, and either can be what breaks it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.building.promises import check_decoding
from kovocab.building.sides import OfBase, OfTarget
from kovocab.errors import TokenizerError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import with_added


@pytest.mark.parametrize("name", ["gpt2", "phi2", "qwen2"])
def test_ids_and_texts_of_a_byte_level_base_are_the_library_s(
    name: str, byte_level: Callable[[str], TokenizerJson], data: Path, ko_small: pl.Series
) -> None:
    library = Reference(byte_level(name))
    base = OfBase(library)
    texts = ["", *ko_small.gather_every(400), *pl.read_ndjson(data / "other.jsonl.zst")["text"].gather_every(100)]
    ids = library.encode(texts)
    assert base.encode(texts) == ids
    assert base.decode_all(ids) == library.decode_all(ids) == [library.decode(of_text) for of_text in ids]
    for of_text in ids:
        assert base.decode(of_text) == library.decode(of_text)
        assert base.decode(of_text[1::3]) == library.decode(of_text[1::3])  # with halves of characters


@pytest.fixture(scope="module")
def sides(base: TokenizerJson) -> tuple[Reference, OfBase]:
    reference = Reference(with_added(base, "<mask>", "<0x41><0x42>"))
    return reference, OfBase(reference)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.integers(0, 300), st.sampled_from([32_000, 32_001, 28_705, 29_871, 28_723]),
                          st.integers(0, 32_001)), max_size=12))  # fmt: skip
def test_texts_of_a_sentencepiece_style_base_are_the_library_s(sides: tuple[Reference, OfBase], ids: list[int]) -> None:
    library, base = sides
    assert base.decode(ids) == library.decode(ids)
    assert base.decode_all([ids, []]) == library.decode_all([ids, []]) == [library.decode(ids), ""]
    assert base.decode(ids, special=False) == library.decode(ids, special=False)


def test_a_decoder_that_is_not_known_is_the_library_s(base: TokenizerJson) -> None:
    other = replace(base, decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True})
    ids = Reference(other).encode(["안녕 world"])[0]
    assert OfBase(Reference(other)).decode(ids) == Reference(other).decode(ids)
    assert OfBase(Reference(other)).decode_all([ids]) == [Reference(other).decode(ids)]
    assert not OfBase(Reference(other))._raw


def test_a_base_put_together_wrongly_keeps_no_promise(base: TokenizerJson) -> None:
    side = OfBase(Reference(base))
    assert check_decoding(side, base, ["안녕 world"]) == 1
    side._begins = ""
    with pytest.raises(TokenizerError, match="promise 4, decoding: '안녕 world' comes back"):
        check_decoding(side, base, ["안녕 world"])


def test_what_was_written_is_encoded_once_and_its_model_alone_by_itself(
    base: TokenizerJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Reference(base)
    target, ids = OfTarget(reference), reference.encode(["안녕", "world"])
    assert target.encode(["안녕", "world", "안녕"]) == [*ids, ids[0]]
    alone = OfTarget.alone(target).encode(["안녕"])
    assert alone == Reference(base.model_alone()).encode(["안녕"]) != [ids[0]]
    monkeypatch.setattr(Reference, "encode", lambda self, texts, template=False: [[7]] * len(texts))
    assert target.encode(["world", "new"]) == [ids[1], [7]]
    assert OfTarget.alone(target).encode(["안녕", "new"]) == [*alone, [7]]
