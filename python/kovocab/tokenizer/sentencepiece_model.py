"""SentencePiece's file, `tokenizer.model`: read it, make a `tokenizer.json` of it.

Covered are BPE models that leave their text as it is (no charsmap, no whitespace clean-up) and fall back to
bytes: Llama 1 and 2, Mistral, SOLAR. Everything else is refused by name, so that no file is half understood.
"""

from functools import lru_cache
from math import isfinite
from typing import Any

from kovocab.errors import TokenizerError, quantity
from kovocab.tokenizer.script import SPACE
from kovocab.tokenizer.spelling import BYTE_PIECES
from kovocab.tokenizer.tokenizer_json import AddedToken, BpeModel, Step, TokenizerJson

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""The types of pieces."""


def read_model(data: bytes, name: str) -> Any:
    """Parse `data` as a SentencePiece `ModelProto` and check that it is of the kind that is covered.

    Args:
        data: The bytes of a `tokenizer.model`.
        name: What to call it in an error: its path.

    Returns:
        The `sentencepiece_model_pb2.ModelProto`.

    Raises:
        TokenizerError: not such a file, or one whose text handling or model type is not covered.
    """
    proto = _parsed(data)
    if (wrong := _fault(data)) is not None:
        raise TokenizerError(f"{name} is {wrong}")
    return proto


def _parsed(data: bytes) -> Any:
    """The message; an empty one where it is none."""
    # Here and not above: with protobuf it takes longer to import than the rest of the text half together.
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at run time
    try:
        proto.ParseFromString(data)
    except DecodeError:
        proto.Clear()
    return proto


@lru_cache(maxsize=2)  # a base is opened more than once, and each look at a message takes long
def _fault(data: bytes) -> str | None:
    """What is wrong with a file; None where it is of the kind that is covered."""
    proto = _parsed(data)
    if not proto.pieces or not proto.HasField("trainer_spec"):
        return "neither a tokenizer.json nor a SentencePiece tokenizer.model"
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    kind = trainer.DESCRIPTOR.fields_by_name["model_type"].enum_type.values_by_number[trainer.model_type].name
    not_covered = {
        f"its model type is {kind}; wanted BPE": kind != "BPE",
        "it has no byte fallback": not trainer.byte_fallback,
        f"it normalises text ({normalizer.name or 'a charsmap'}); wanted identity": (
            normalizer.precompiled_charsmap != b""
        ),
        "it rewrites decoded text": proto.denormalizer_spec.precompiled_charsmap != b"",
        "it removes extra whitespace": normalizer.remove_extra_whitespaces,
        f"it does not write spaces as {SPACE}": not normalizer.escape_whitespaces,
        "it treats whitespace as a suffix": trainer.treat_whitespace_as_suffix,
        "it has unused pieces": any(piece.type == UNUSED for piece in proto.pieces),
    }
    for reason, applies in not_covered.items():
        if applies:
            return f"a SentencePiece model that kovocab does not cover: {reason}"
    wrong = _wrong_piece(proto.pieces)
    return wrong and f"a SentencePiece model that kovocab does not cover: {wrong}"


def _wrong_piece(pieces: Any) -> str | None:
    """What SentencePiece refuses of pieces, or reads in another way than by their merges; None where nothing is."""
    seen: set[str] = set()
    rows = [(piece.piece, piece.score, piece.type) for piece in pieces]  # each look at a message takes long
    for i, (text, score, kind) in enumerate(rows):
        if not isinstance(text, str) or not text or "\0" in text:  # bytes, where they are no UTF-8; \0 is never found
            return f"piece {i} is {text!r}; wanted a text"
        if text in seen:
            return f"piece {i}, {text!r}, is there twice"
        if not isfinite(score):
            return f"piece {i}, {text!r}, has the score {score}; wanted a number"
        if kind == USER_DEFINED and SPACE in text:
            return f"the user-defined piece {text!r} holds {SPACE}, and a tokenizer.json finds it as it is written only"
        seen.add(text)
    if (unknown := sum(kind == UNKNOWN for _, _, kind in rows)) != 1:
        return f"it has {quantity(unknown, 'unknown piece')}; wanted one"
    if {text for text, _, kind in rows if kind == BYTE} != BYTE_PIECES.keys():
        return "its byte pieces are not <0x00> to <0xFF>"
    normal = {text for text, _, kind in rows if kind == NORMAL}
    for text in () if normal.issuperset("".join(normal)) else normal:
        if not normal.issuperset(text):
            missing = next(c for c in text if c not in normal)
            return f"{text!r} is a piece, and {missing!r} is none; wanted each character of a piece as one"
    # Of two that tie SentencePiece merges the left one, wherever they stand; a list of merges has no ties.
    ranks: dict[float, str] = {}
    for text, score, kind in rows:
        if kind == NORMAL and len(text) > 1 and text.strip(SPACE) and ranks.setdefault(score, text) != text:
            return f"{ranks[score]!r} and {text!r} have the same score, {score}"
    return None


def piece_ids(proto: Any) -> tuple[dict[str, int], dict[str, int]]:
    """The ids of the pieces that text is made of, and of those that are no text (control, unknown, ...)."""
    text: dict[str, int] = {}
    other: dict[str, int] = {}
    for i, piece in enumerate(proto.pieces):
        (text if piece.type in (NORMAL, BYTE) else other)[piece.piece] = i
    return text, other


def to_tokenizer(proto: Any, name: str = "the tokenizer.model") -> TokenizerJson:
    """Build the tokenizer that gives the ids of the SentencePiece model `proto`.

    A text that holds a control or user-defined piece literally is the one exception: as in every Hugging
    Face conversion it is cut out first and read as that token (SentencePiece reads control pieces as text,
    and puts its leading space only at the start of the text).

    Args:
        proto: What `read_model` returned.
        name: What to call it in an error: its path.
    """
    pieces = proto.pieces
    vocab = {piece.piece: i for i, piece in enumerate(pieces)}
    added = [
        AddedToken(i, piece.piece, special=piece.type != USER_DEFINED)
        for i, piece in enumerate(pieces)
        if piece.type in (UNKNOWN, CONTROL, USER_DEFINED)
    ]
    unknown = next(piece.piece for piece in pieces if piece.type == UNKNOWN)
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    decoders: list[Step] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    normalizer: Step = replace
    if proto.normalizer_spec.add_dummy_prefix:
        normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]}
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return TokenizerJson(
        BpeModel(vocab, _merges(proto), unk_token=unknown, fuse_unk=True, byte_fallback=True),
        tuple(added),
        normalizer=normalizer,
        post_processor=_begin_with(proto),
        decoder={"type": "Sequence", "decoders": decoders},
        name=name,
    )


def _begin_with(proto: Any) -> Step | None:
    """Begin each text with the model's `<s>`, as Llama and Mistral do; None where the model has none."""
    i = proto.trainer_spec.bos_id
    if not 0 <= i < len(proto.pieces):
        return None
    bos = proto.pieces[i].piece

    def special(type_id: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": bos, "type_id": type_id}}

    def sequence(name: str, type_id: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": type_id}}

    single = [special(0), sequence("A", 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, special(1), sequence("B", 1)],
        "special_tokens": {bos: {"id": bos, "ids": [i], "tokens": [bos]}},
    }


def _merges(proto: Any) -> list[tuple[str, str]]:
    """Every way to split a normal piece in two normal pieces: best score first, then by ids.

    The order of ties is the one of the published `tokenizer.json` of Llama and Mistral, so that a converted
    file is that file.
    """
    normal = {piece.piece: i for i, piece in enumerate(proto.pieces) if piece.type == NORMAL}
    scores = [piece.score for piece in proto.pieces]
    splits = [
        (-scores[i], i, normal[token[:at]], normal[token[at:]])
        for token, i in normal.items()
        for at in range(1, len(token))
        if token[:at] in normal and token[at:] in normal
    ]
    return [(proto.pieces[left].piece, proto.pieces[right].piece) for _, _, left, right in sorted(splits)]
