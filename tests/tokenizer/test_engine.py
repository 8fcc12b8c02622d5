"""The engine encodes as the library does, text by text."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.errors import TokenizerError
from kovocab.tokenizer.engine import Encoder
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer_json import OtherModel, TokenizerJson


@pytest.mark.parametrize("name", ["gpt2", "phi2", "qwen2"])
def test_ids_of_a_byte_level_base_are_the_library_s(
    name: str, byte_level: Callable[[str], TokenizerJson], data: Path, ko_small: pl.Series
) -> None:
    document = byte_level(name)
    texts = ["", *ko_small.gather_every(400), "", *pl.read_ndjson(data / "other.jsonl.zst")["text"].gather_every(100)]
    encoder = Encoder(document)
    for _ in range(2):  # words are kept from one call to the next
        assert encoder.encode(texts) == Reference(document).encode(texts)
    assert encoder.encode([]) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.sampled_from(" ▁\n\t</s>a가나ㅋ\u1100\u1161é漢🙂\u0301\x00"), max_size=20), max_size=5))
def test_ids_of_a_sentencepiece_style_base_are_the_library_s(base: TokenizerJson, texts: list[str]) -> None:
    assert Encoder(base).encode(texts) == Reference(base).encode(texts)


def test_what_it_does_not_cover_is_said() -> None:
    with pytest.raises(TokenizerError, match="not BPE"):
        Encoder(TokenizerJson(OtherModel({"a": 0}, "WordLevel", {"vocab": {"a": 0}, "unk_token": "a"})))
