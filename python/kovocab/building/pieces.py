"""New pieces in a `tokenizer.model`: what stands where in a list of merges is a score there."""

from collections.abc import Sequence
from typing import Any

from kovocab.building.placement import merges_script
from kovocab.building.rows import Row
from kovocab.errors import TokenizerError
from kovocab.tokenizer.script import SPACE, Script
from kovocab.tokenizer.sentencepiece_model import CONTROL, NORMAL, USER_DEFINED
from kovocab.tokenizer.tokenizer_json import AddedToken

# SentencePiece gives pieces that training did not rank, the runs of spaces, a score of -1e9.
_UNRANKED = -1e8


def append_added(proto: Any, tokens: Sequence[AddedToken]) -> None:
    """Append to `proto`, which is changed, the added tokens that follow its pieces; their numbers are theirs.

    SentencePiece reads a special one as the text that it is, as it does with `</s>`, and finds another in the text.
    """
    for token in tokens:
        if token.id == len(proto.pieces):
            kind = CONTROL if token.special else USER_DEFINED
            proto.pieces.add(piece=token.content, score=0.0, type=kind)


def append_pieces(proto: Any, rows: Sequence[Row], script: Script) -> bytes:
    """Append `rows` to the model as pieces, scored so that it merges as the target's `tokenizer.json` does.

    SentencePiece has no list of merges: it joins the two neighbours whose joint piece scores best. New
    scores stand one apart, below every ranked piece and above the runs of spaces; or, where the base merges
    the script by itself, above everything, and then for tokens that the base has, too.

    Args:
        proto: What `read_model` returned; it is changed.
        rows: The vocabulary, checked, in merge order.
        script: Of the new tokens.

    Returns:
        The bytes of the target's `tokenizer.model`.

    Raises:
        TokenizerError: the base's scores leave no room where the new ones have to stand.
    """
    normal = {piece.piece: piece for piece in proto.pieces if piece.type == NORMAL}
    on_top = merges_script(normal, script)
    if on_top:
        first = max(piece.score for piece in normal.values()) + len(rows)
    else:
        first = min(score for piece in normal.values() if (score := piece.score) > _UNRANKED) - 1
    last = first - len(rows)
    # Scores are float32: from 2**24 on, neighbours one apart would tie, and ties merge from the left.
    if max(abs(first), abs(last)) >= 2**24:
        raise TokenizerError(f"the base model's scores leave no room for {len(rows)} distinct new ones")
    if not on_top:
        _check_runs_of_spaces(normal, last)
    for k, (token, _, _) in enumerate(rows):
        if token not in normal:
            proto.pieces.add(piece=token, score=first - k)
        elif on_top:
            normal[token].score = first - k
    proto.trainer_spec.vocab_size = len(proto.pieces)
    # A new message of just these parts: SentencePiece does not load a model whose embedded self-test fails,
    # as one with Korean in it now does.
    target = type(proto)(pieces=proto.pieces, trainer_spec=proto.trainer_spec, normalizer_spec=proto.normalizer_spec)
    data: bytes = target.SerializeToString(deterministic=True)
    return data


def _check_runs_of_spaces(normal: dict[str, Any], last: float) -> None:
    words = min(p.score for token, p in normal.items() if len(token) > 1 and token.strip(SPACE))
    for token, piece in normal.items():
        # `tokenizer.json` has the new merges before these.
        if len(token) > 1 and not token.strip(SPACE) and last <= piece.score < words:
            raise TokenizerError(
                f"the base model scores the run of spaces {token!r} {piece.score}; wanted it below {last}, "
                "where there is room for the new pieces above it"
            )
