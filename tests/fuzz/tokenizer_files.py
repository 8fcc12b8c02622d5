"""Small tokenizer files, changed and damaged: ours and the library read the same of them, or ours refuses in one line.

Three in four are a tokenizer.json, held to `tokenizers`; the others a tokenizer.model, held to SentencePiece.
"""

import json
import logging
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Tokenizer

from fuzz.trying import PIECES, damaged, mutated, seen
from kovocab import _core
from kovocab.errors import TokenizerError
from kovocab.tokenizer import sentencepiece_model
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer_json import TokenizerJson

BATCH = 20
TEXTS = [
    "",
    " ",
    "ab ab  ba",
    "가나 abc가\n",
    "<s>ab</s> x",
    "▁a▁▁b",
    "é漢😀\x00",
    "AB 12 a1b2",
    "\ufeffа\u0301 ab",
    "aaaaabbbbb",
]
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
NORMALIZERS: list[Any] = [
    None, REPLACE, {"type": "Prepend", "prepend": "▁"}, {"type": "NFC"}, {"type": "NFKC"}, {"type": "Lowercase"},
    {"type": "StripAccents"},
    {"type": "Strip", "strip_left": True, "strip_right": False}, {"type": "Replace", "pattern": {"Regex": " +"},
    "content": "▁"},
    {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, REPLACE]}, {"type": "Sequence",
    "normalizers": []},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
    "lowercase": True},
]  # fmt: skip
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False}
SPLIT = {"type": "Split", "pattern": {"Regex": "\\s"}, "behavior": "Isolated", "invert": False}
CUTTERS: list[Any] = [
    None, None, METASPACE, METASPACE | {"prepend_scheme": "first"}, METASPACE | {"split": True},
    {"type": "WhitespaceSplit"}, SPLIT,
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, {"type": "Whitespace"},
    {"type": "Digits", "individual_digits": True}, {"type": "Sequence", "pretokenizers": [SPLIT, METASPACE]},
    {"type": "BertPreTokenizer"},
    {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, {"type": "Punctuation",
    "behavior": "Isolated"},
]  # fmt: skip
PROCESSORS: list[Any] = [
    None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
    {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    },
]  # fmt: skip
DECODERS: list[Any] = [None, METASPACE, {"type": "ByteFallback"}, {"type": "Sequence", "decoders": [{"type": "Fuse"}]}]
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
LETTERS = ["a", "b", "▁", "가", "나", "ab", "▁a", "▁ab", "가나", "aa", "▁▁", "1", "é"]
MERGES = [["a", "b"], ["▁", "a"], ["▁", "ab"], ["가", "나"], ["a", "a"], ["▁", "▁"]]


def make(random: Random) -> tuple[bool, bytes]:
    """Whether it is a tokenizer.model, and what the file holds."""
    if random.random() < 0.25:
        return True, model_file(random)
    config = json_file(random)
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        config = mutated(config, random)
    data = json.dumps(config, ensure_ascii=random.random() < 0.3).encode(errors="surrogatepass")
    return False, damaged(data, random) if random.random() < 0.1 else data


def json_file(random: Random) -> Any:
    """A tokenizer.json of some kind, as it could have been published."""
    special = ["<unk>", "<s>", "</s>"]
    fallback = random.random() < 0.5
    tokens = [*special, *([f"<0x{byte:02X}>" for byte in range(256)] if fallback else []), *LETTERS]
    vocab = {token: i for i, token in enumerate(tokens)}
    model: dict[str, Any] = {"type": "BPE", "byte_fallback": fallback, "vocab": vocab, "merges": MERGES}
    if random.random() < 0.7:
        model |= {"unk_token": "<unk>", "fuse_unk": random.random() < 0.7}
    if random.random() < 0.1:
        model |= {random.choice(("ignore_merges", "fuse_unk")): True, "dropout": random.choice((None, 0.0))}
    if random.random() < 0.15:
        model |= {"merges": [" ".join(merge) for merge in MERGES]}
    if random.random() < 0.15 and not fallback:
        model = random.choice([
            {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"},
            {"type": "Unigram", "vocab": [[token, -i / 2] for token, i in vocab.items()], "unk_id": 0,
            "byte_fallback": False},
            {"type": "WordPiece", "vocab": vocab, "unk_token": "<unk>", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 9},
        ])  # fmt: skip
    added = [FLAGS | {"id": i, "content": token} for i, token in enumerate(special)]
    if random.random() < 0.3:
        more = {
            "id": len(vocab),
            "content": random.choice(("<new>", "ab ", "AB", "가")),
            "special": random.random() < 0.5,
        }
        more["id"] = vocab.get(more["content"], more["id"])
        added.append(FLAGS | more | {random.choice((*FLAGS,)): True})
    simple = random.random() < 0.5  # one that the engine takes
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": NORMALIZERS[9] if simple else random.choice(NORMALIZERS),
        "pre_tokenizer": None if simple else random.choice(CUTTERS),
        "post_processor": random.choice(PROCESSORS),
        "decoder": random.choice(DECODERS),
        "model": model,
    }


def model_file(random: Random) -> bytes:
    """A small tokenizer.model, with some pieces or settings changed, or some bytes of it."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model())
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        piece = random.choice(proto.pieces[:3] if random.random() < 0.3 else proto.pieces[259:])
        trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
        match random.randrange(9):
            case 0:
                piece.piece = random.choice((*LETTERS, "", "abab", "ba", "▁가", "<s>", "<0x41>", *PIECES))
            case 1:
                piece.type = random.randrange(1, 7)
            case 2:
                piece.score = random.choice(
                    (0.0, -1.0, 1.0, -1e9, 1e38, float("inf"), float("-inf"), float("nan"), -2.5)
                )
            case 3:
                proto.pieces.remove(piece)
            case 4:
                proto.pieces.add().CopyFrom(piece)
            case 5:
                setattr(
                    trainer,
                    random.choice(("bos_id", "unk_id", "eos_id", "pad_id")),
                    random.choice((-1, 0, 1, 2, 5, 10**6, -(2**31))),
                )
            case 6:
                setattr(trainer, random.choice(("byte_fallback", "treat_whitespace_as_suffix")), random.random() < 0.5)
            case 7:
                names = ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces")
                setattr(normalizer, random.choice(names), random.random() < 0.5)
            case _:
                trainer.model_type = random.randrange(1, 5)
    data = proto.SerializeToString()
    return damaged(data, random) if random.random() < 0.15 else data


@cache
def model() -> bytes:
    proto = sentencepiece_model_pb2.ModelProto()
    for i, token in enumerate(("<unk>", "<s>", "</s>")):
        proto.pieces.add(piece=token, score=0, type=3 if i else 2)
    for byte in range(256):
        proto.pieces.add(piece=f"<0x{byte:02X}>", score=0, type=6)
    for i, token in enumerate(sorted(LETTERS, key=len, reverse=True)):
        proto.pieces.add(piece=token, score=-i if len(token) > 1 else -100 - i)
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    trainer.model_type, trainer.byte_fallback, trainer.vocab_size = 2, True, len(proto.pieces)
    normalizer.name, normalizer.remove_extra_whitespaces = "identity", False
    return bytes(proto.SerializeToString())


def check(inputs: list[tuple[bool, bytes]], random: Random, folder: Path) -> None:
    logging.disable(logging.WARNING)
    try:
        for is_model, data in inputs:
            (check_model if is_model else check_json)(data)
    finally:
        logging.disable(logging.NOTSET)


def check_json(data: bytes) -> None:
    document = seen(lambda: parse(data, "some/file"), TokenizerError)
    if isinstance(document, TokenizerError):
        return
    ours = seen(lambda: Reference(document), TokenizerError)
    if isinstance(ours, TokenizerError):
        return
    theirs = library(data)
    assert theirs is not None, "tokenizers does not read what we do"
    found, wanted = encoded(ours.encode, TEXTS), encoded(theirs, TEXTS)
    assert found == wanted, (found, wanted)
    check_engine(document, found)


def check_engine(document: TokenizerJson, encodings: list[list[int] | None]) -> None:
    """Where the engine takes a tokenizer, it counts what the library gives."""
    bpe = seen(lambda: bpe_of(document), TokenizerError)
    if isinstance(bpe, TokenizerError):
        return
    assert None not in encodings, "the engine takes a tokenizer with which tokenizers cannot encode"
    counter = _core.TokenCounter(1)
    counter.update(bpe, pl.Series(TEXTS))
    counts = pl.DataFrame(counter.counts(bpe)).filter(pl.col("count") > 0)
    expected = Counter(i for ids in encodings for i in ids or ())
    assert dict(counts.rows()) == expected, (counts.rows(), expected)


def check_model(data: bytes) -> None:
    proto = seen(lambda: sentencepiece_model.read_model(data, "some/file"), TokenizerError)
    if isinstance(proto, TokenizerError):
        return
    document = seen(lambda: sentencepiece_model.to_tokenizer(proto, "some/file"), TokenizerError)
    if isinstance(document, TokenizerError):
        return
    ours = seen(lambda: Reference(document), TokenizerError)
    if isinstance(ours, TokenizerError):
        return
    theirs = SentencePieceProcessor()
    try:
        theirs.LoadFromSerializedProto(data)
    except RuntimeError as error:
        raise AssertionError(f"SentencePiece does not read what we do: {error}") from error
    # The one exception: a piece that is no text, literally in the text.
    other = [token.content for token in document.added_tokens if token.content]
    texts = [text for text in TEXTS if not any(token in text for token in other)]
    found, wanted = encoded(ours.encode, texts), theirs.encode(texts)
    assert found == wanted, (found, wanted)
    check_engine(document, encoded(ours.encode, TEXTS))


def library(data: bytes) -> Any:
    """How the library itself encodes with a file; None where it does not read it,
    whatever truncation and padding are."""
    for text in (data.decode(), json.dumps(json.loads(data) | {"truncation": None, "padding": None})):
        try:
            tokenizer = Tokenizer.from_str(text)
            break
        except KeyboardInterrupt:
            raise
        except BaseException:  # it panics
            tokenizer = None
    if tokenizer is None:
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def encoded(encode: Any, texts: list[str]) -> list[list[int] | None]:
    """The ids of texts; None of one that the library cannot encode."""
    try:
        return [list(ids) for ids in encode(texts)]
    except KeyboardInterrupt:
        raise
    except BaseException:  # it panics
        return [None] if len(texts) == 1 else [encoded(encode, [text])[0] for text in texts]
