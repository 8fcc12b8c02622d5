"""What is wrong with the pieces of a tokenizer.model is said: SentencePiece refuses them, or reads them otherwise."""

from collections.abc import Callable
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

from fuzz.tokenizer_files import model
from kovocab.errors import TokenizerError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.sentencepiece_model import read_model, to_tokenizer

WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "twice": (lambda proto: proto.pieces.add(piece="ab", score=-9), r"piece 272, 'ab', is there twice"),
    "empty": (lambda proto: setattr(proto.pieces[260], "piece", ""), r"piece 260 is ''; wanted a text"),
    "nul": (lambda proto: setattr(proto.pieces[260], "piece", "\0"), r"piece 260 is '\\x00'; wanted a text"),
    "no unknown": (lambda proto: setattr(proto.pieces[0], "type", 3), "it has 0 unknown pieces; wanted one"),
    "two unknown": (lambda proto: setattr(proto.pieces[1], "type", 2), "it has 2 unknown pieces; wanted one"),
    "byte": (lambda proto: setattr(proto.pieces[260], "type", 6), "its byte pieces are not <0x00> to <0xFF>"),
    "score": (
        lambda proto: setattr(proto.pieces[260], "score", float("nan")),
        "'ab', has the score nan; wanted a number",
    ),
    "character": (lambda proto: setattr(proto.pieces[268], "piece", "x"), "'가나' is a piece, and '가' is none"),
    "tie": (lambda proto: setattr(proto.pieces[260], "score", -2), "'ab' and '▁a' have the same score, -2.0"),
    "spaces": (lambda proto: setattr(proto.pieces[264], "type", 4), "the user-defined piece '▁▁' holds ▁"),
}


@pytest.mark.parametrize("change", WRONG)
def test_what_is_wrong_with_a_piece_is_said(change: str) -> None:
    alter, reason = WRONG[change]
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model())
    alter(proto)
    with pytest.raises(
        TokenizerError, match=f"^some/file is a SentencePiece model that kovocab does not cover: .*{reason}"
    ):
        read_model(proto.SerializeToString(), "some/file")


def test_a_piece_that_is_no_text_is_said() -> None:
    data = model().replace("가나".encode(), b"\xff" * 6)
    with pytest.raises(TokenizerError, match=r"piece 262 is b'.*'; wanted a text"):
        read_model(data, "some/file")


def test_the_model_as_it_is_is_read_as_sentencepiece_reads_it() -> None:
    theirs = SentencePieceProcessor()
    theirs.LoadFromSerializedProto(model())
    texts = ["가나 ab  a", "나가", "x"]
    assert Reference(to_tokenizer(read_model(model(), "some/file"))).encode(texts) == theirs.encode(texts)
