"""Sentences, a small vocabulary and SentencePiece's own encoder, for tests of a SentencePiece-style base."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import (
    ids,
    vocabulary,
)

SENTENCES = (
    "안녕하세요, 반갑습니다. 오늘은 날씨가 좋습니다.",
    "Hello  world!   한국어와 English를 섞어 씁니다 ㅋㅋㅋ ㅠㅠ",
    "함수 f(x) = x²는\n\t미분할 수 있다.  똠방각하 펲시콜라",
    "   leading, 漢字かな交じり文 👩🏽‍💻 café e\u0301 한국어 \x00\u200b ▁▁ ▁한 글",
    "",
)

ROWS = vocabulary(
    ("녕", None, None),  # the base has 안, not 녕
    ("안", None, None),
    ("ㅋ", None, None),
    ("안녕", "안", "녕"),
    ("▁안녕", "▁", "안녕"),
    ("ㅋㅋ", "ㅋ", "ㅋ"),
)


def differing(tokenizer: TokenizerJson, model: bytes, texts: list[str]) -> list[str]:
    """The texts that SentencePiece encodes otherwise."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    theirs = processor.encode(texts, num_threads=-1)
    return [t for t, a, b in zip(texts, ids(tokenizer, texts), theirs, strict=True) if a != b]


def changed_model(base_model_file: Path, change: Callable[[Any], object]) -> bytes:
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(base_model_file.read_bytes())
    change(proto)
    return proto.SerializeToString()
