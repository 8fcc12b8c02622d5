"""A SentencePiece `tokenizer.model` made from a `tokenizer.json`: the order of its merges said as scores.

Why the two agree on every text, once `check_every_token` holds: a merge list and a list of scores are both taken
greedily, best pair first, so what makes a token anywhere is what makes it of its own text alone (no earlier merge
crosses its ends). On a token's own text the two take the same steps until two parts are left, by the same argument for
shorter tokens; and then both make the token, or neither does. So each token by itself, in its own text, is all there
is to compare; what happens before the merges (the leading space, bytes, added tokens) is said piece by piece below.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kovocab.building.placement import NO_CUT
from kovocab.errors import TokenizerError
from kovocab.tokenizer import sentencepiece_model
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import SPACE
from kovocab.tokenizer.sentencepiece_model import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED
from kovocab.tokenizer.spelling import BYTE_PIECES
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson

_MOST = 2**24
"""Scores are float32: from here on neighbours one apart tie, and SentencePiece merges ties from the left."""


def is_sentencepiece_style(tokenizer: TokenizerJson) -> bool:
    """Whether converters take a tokenizer for one that has a `tokenizer.model`: BPE that falls back to bytes."""
    model = tokenizer.model
    return isinstance(model, BpeModel) and model.byte_fallback and SPACE in model.vocab


def ranked_model(tokenizer: TokenizerJson, names: Mapping[str, Any] | None = None) -> bytes:
    """Make the `tokenizer.model` of a SentencePiece-style tokenizer, and see that it gives the same ids.

    Args:
        tokenizer: The tokenizer.
        names: Its special tokens by the names of tokenizer_config.json: `bos_token`, `eos_token`, `pad_token`.

    Returns:
        The bytes of the file, the same every time. A special token is a control piece, which SentencePiece reads as the
        text that it is; another added token a user-defined one, which it finds in the text.

    Raises:
        TokenizerError: SentencePiece has no words for what the tokenizer does; says what.
    """
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at run time
    for reason in _reasons(tokenizer):
        raise TokenizerError(f"a tokenizer.model cannot say what {tokenizer.name} does: {reason}")
    model = tokenizer.model
    assert isinstance(model, BpeModel)
    scores, added = _scores(model), {token.content: token for token in tokenizer.added_tokens}
    for i in range(tokenizer.size):
        token = tokenizer.tokens[i]
        kind = BYTE if token in BYTE_PIECES else NORMAL
        if token in added:
            kind = CONTROL if added[token].special else USER_DEFINED
        kind = UNKNOWN if token == model.unk_token else kind
        proto.pieces.add(piece=token, score=scores[token] if kind == NORMAL else 0.0, type=kind)
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    trainer.model_type, trainer.byte_fallback, trainer.vocab_size = trainer.BPE, True, tokenizer.size
    for name in ("unk", "bos", "eos", "pad"):
        said = model.unk_token if name == "unk" else (names or {}).get(f"{name}_token")
        said = said.get("content") if isinstance(said, dict) else said
        setattr(trainer, f"{name}_id", tokenizer.ids.get(said or "", -1))
        if said in tokenizer.ids:
            setattr(trainer, f"{name}_piece", said)
    normalizer.name, normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces = "identity", False, True
    normalizer.add_dummy_prefix = _prepends(tokenizer)
    data: bytes = proto.SerializeToString(deterministic=True)
    sentencepiece_model.read_model(data, f"the tokenizer.model made from {tokenizer.name}")
    check_every_token(tokenizer, data)
    return data


def check_every_token(target: TokenizerJson | Reference, model: bytes) -> int:
    """See that a `tokenizer.model` merges as a `tokenizer.json` does, each token's own text by itself.

    Returns:
        The number of tokens compared.

    Raises:
        TokenizerError: names the first token that comes out otherwise.
    """
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    tokenizer = target.document if isinstance(target, Reference) else target
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    proto.ParseFromString(model)
    proto.normalizer_spec.add_dummy_prefix = False
    for piece in proto.pieces:
        if piece.type == USER_DEFINED:  # found before the merges, which are what is compared
            piece.type = CONTROL
    tokens = [piece.piece for piece in proto.pieces if piece.type == NORMAL]
    theirs = SentencePieceProcessor(model_proto=proto.SerializeToString()).encode(tokens, num_threads=-1)
    for token, ours, other in zip(tokens, Reference.alone(target).encode(tokens), theirs, strict=True):
        if ours != other:
            raise TokenizerError(
                f"no scores say the order of merges of {tokenizer.name}: its tokenizer.json makes "
                f"{[tokenizer.tokens[i] for i in ours]} of {token!r}, and SentencePiece "
                f"{[proto.pieces[i].piece for i in other]}"
            )
    return len(tokens)


def _reasons(tokenizer: TokenizerJson) -> Iterator[str]:
    """What of a tokenizer cannot be said."""
    if isinstance(tokenizer.model, BpeModel) and is_sentencepiece_style(tokenizer):
        yield from _of_model(tokenizer, tokenizer.model)
        yield from _of_text(tokenizer)
    else:
        yield "it is not SentencePiece-style: BPE that falls back to bytes"


def _of_model(tokenizer: TokenizerJson, model: BpeModel) -> Iterator[str]:
    if model.unk_token not in tokenizer.ids:
        yield "it has no unknown token, and SentencePiece wants one"
    if missing := BYTE_PIECES.keys() - model.vocab.keys():
        yield f"it has no token {min(missing)}"
    if model.ignore_merges:
        yield "it takes whole words without merging them (ignore_merges)"
    if model.continuing_subword_prefix or model.end_of_word_suffix or model.dropout:
        yield "its merges depend on where in a word they are, or on chance"
    if len(tokenizer.tokens) < tokenizer.size:
        gap = next(i for i in range(tokenizer.size) if i not in tokenizer.tokens)
        yield f"no token has the id {gap:,}"
    if len(model.merges) + len(model.vocab) >= _MOST:
        yield f"it has more merges and tokens than the {_MOST:,} scores that float32 keeps apart"


def _of_text(tokenizer: TokenizerJson) -> Iterator[str]:
    for token in tokenizer.added_tokens:
        if not token.special and (SPACE in token.content or " " in token.content):
            yield (
                f"it finds the added token {token.content!r} as it is written, and SentencePiece would find it in "
                "text with spaces"
            )
    for step in _steps(tokenizer.normalizer):
        if step not in ({"type": "Prepend", "prepend": SPACE}, _SPACES):
            yield f"it normalises text ({step.get('type')})"
    cut = tokenizer.pre_tokenizer
    if cut is not None and not (cut == NO_CUT and _SPACES in _steps(tokenizer.normalizer)):
        if (cut.get("type"), cut.get("split"), cut.get("replacement")) != ("Metaspace", False, SPACE):
            yield f"it cuts text into words ({cut.get('type')})"
        elif cut.get("prepend_scheme", "always") != "never":
            yield f"its Metaspace puts no {SPACE} before a text that begins with a space, and SentencePiece does"
    elif _SPACES not in _steps(tokenizer.normalizer):
        yield f"it does not write spaces as {SPACE}"


_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def _steps(normalizer: Any) -> list[Any]:
    if normalizer is None:
        return []
    return list(normalizer["normalizers"]) if normalizer["type"] == "Sequence" else [normalizer]


def _prepends(tokenizer: TokenizerJson) -> bool:
    return any(step["type"] == "Prepend" for step in _steps(tokenizer.normalizer))


def _scores(model: BpeModel) -> dict[str, float]:
    """A score a token: those that merges make in the order of their first merge, then all others, one apart."""
    order = dict.fromkeys("".join(merge) for merge in model.merges)
    order |= dict.fromkeys(model.vocab)
    return {token: -float(k) for k, token in enumerate(order)}
