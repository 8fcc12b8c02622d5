"""A tokenizer.model made of ranks agrees with tokenizer.json on every text, or says why there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

from kovocab.building.promises import check_model
from kovocab.building.ranked_model import check_every_token, is_sentencepiece_style, ranked_model
from kovocab.building.target import build_target
from kovocab.errors import TokenizerError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson
from support.vocabularies import changed, train_vocabulary, with_added

NAMES = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}}
SPACES = [" " * n + end for n in range(64) for end in ("", "x", "가")]


def metaspace(scheme: str) -> Callable[[dict[str, Any]], object]:
    cut = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}
    return lambda config: config.update(normalizer=None, pre_tokenizer=cut)


def loaded(data: bytes) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=data)


@pytest.fixture(scope="module")
def target(base: TokenizerJson, ko_small: pl.Series) -> TokenizerJson:
    return build_target(base, train_vocabulary(ko_small.head(10_000), 3_000))


def test_it_agrees_on_real_text(target: TokenizerJson, data: Path, ko_small: pl.Series) -> None:
    made = ranked_model(target, NAMES)
    assert ranked_model(target, NAMES) == made
    texts = [*ko_small.tail(3_000), *pl.read_ndjson(data / "en.jsonl.zst")["text"].head(300), *SPACES]
    texts += pl.read_ndjson(data / "other.jsonl.zst")["text"].head(1_000).to_list()
    assert check_model(target, made, texts) > 4_000
    assert check_every_token(target, made) == target.size - 259


def test_pieces_and_special_ids_are_the_tokenizers(base: TokenizerJson) -> None:
    tokenizer = with_added(with_added(base, "<pad>"), "<tool>", special=False)
    processor = loaded(ranked_model(tokenizer, NAMES | {"pad_token": "<pad>"}))
    assert {processor.id_to_piece(i): i for i in range(processor.piece_size())} == tokenizer.ids
    assert [processor.unk_id(), processor.bos_id(), processor.eos_id(), processor.pad_id()] == [0, 1, 2, 32000]
    assert [i for i in range(processor.piece_size()) if processor.is_byte(i)] == list(range(3, 259))
    assert [i for i in range(processor.piece_size()) if processor.is_control(i)] == [1, 2, 32000]
    assert processor.encode("<tool>", add_bos=True)[-1] == 32001  # a user-defined piece is found in the text
    assert 32000 not in processor.encode("<pad>")
    assert processor.decode(processor.encode("안녕 뷁")) == "안녕 뷁"
    scores = [processor.get_score(i) for i in range(259, 32000)]
    assert len(set(scores)) == len(scores)
    assert all(score == int(score) and -(2**24) < score <= 0 for score in scores)


def test_without_names_there_is_an_unknown_id_alone(base: TokenizerJson) -> None:
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(ranked_model(base))
    spec = proto.trainer_spec
    assert (spec.unk_id, spec.bos_id, spec.eos_id, spec.pad_id) == (0, -1, -1, -1)


def as_gemma(config: dict[str, Any]) -> None:
    """Cuts at spaces, of which the normaliser leaves none."""
    cut = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    config.update(normalizer=config["normalizer"]["normalizers"][1], pre_tokenizer=cut)


@pytest.mark.parametrize(
    "change", [metaspace("never"), lambda c: c.update(normalizer=c["normalizer"]["normalizers"][1]), as_gemma]
)
def test_no_space_before_a_text(change: Callable[[dict[str, Any]], object], base: TokenizerJson) -> None:
    bare = changed(base, change)
    assert check_model(bare, ranked_model(bare), ["안녕 tree", " tree", "tree", *SPACES]) == 3 + len(SPACES)


UNSAID: dict[str, tuple[Callable[[TokenizerJson], TokenizerJson], str]] = {
    "gemma's added tokens": (lambda base: with_added(base, "▁" * 19, special=False), "finds the added token"),
    "an added token with a space": (lambda base: with_added(base, "a b", special=False), "the added token 'a b'"),
    "metaspace": (lambda base: changed(base, metaspace("first")), "begins with a space"),
    "metaspace, always": (lambda base: changed(base, metaspace("always")), "begins with a space"),
    "words": (
        lambda base: changed(base, lambda c: c.update(pre_tokenizer={"type": "Whitespace"})),
        r"cuts text into words \(Whitespace\)",
    ),
    "nfkc": (
        lambda base: changed(base, lambda c: c["normalizer"]["normalizers"].append({"type": "NFKC"})),
        r"normalises text \(NFKC\)",
    ),
    "spaces as they are": (lambda base: changed(base, lambda c: c.update(normalizer=None)), "does not write spaces as"),
    "whole words": (lambda base: changed(base, lambda c: c["model"].update(ignore_merges=True)), "ignore_merges"),
    "no unknown": (lambda base: changed(base, lambda c: c["model"].update(unk_token=None)), "no unknown token"),
    "another style": (lambda base: changed(base, lambda c: c["model"].update(byte_fallback=False)), "falls back"),
    "a token that no merge makes": (
        lambda base: changed(base, lambda c: c["model"]["vocab"].update({"가나": 32000})),
        r"makes \['가', '나'\] of '가나', and SentencePiece \['가나'\]",
    ),
    "splits ranks apart": (
        # "ing" is made by its last merge only, and SentencePiece makes it wherever its other parts meet, too.
        lambda base: changed(base, lambda c: c["model"]["merges"].append(["in", "g"])),
        "no scores say the order of merges",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSAID)
def test_what_cannot_be_said_is_said(name: str, base: TokenizerJson) -> None:
    change, reason = UNSAID[name]
    with pytest.raises(TokenizerError, match=reason):
        ranked_model(change(base))


def test_scores_of_another_order_are_seen(base: TokenizerJson) -> None:
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(ranked_model(base))
    ranked = sorted((piece for piece in proto.pieces if piece.type == 1), key=lambda piece: -piece.score)
    ranked[10].score, ranked[500].score = ranked[500].score, ranked[10].score
    with pytest.raises(TokenizerError, match="no scores say the order of merges"):
        check_every_token(base, proto.SerializeToString())


def test_styles(base: TokenizerJson, data: Path) -> None:
    assert isinstance(base.model, BpeModel)
    assert is_sentencepiece_style(base)
    assert not is_sentencepiece_style(load_tokenizer(data / "tokenizers" / "gpt2"))
    assert Reference(base).encode(["a"]) == loaded(ranked_model(base)).encode(["a"])
