"""The target of a base: its tokens and merges, and those of a vocabulary.

Why it keeps the promises (`kovocab.building.promises` checks them): a new merge always holds a character of the
script, or two bytes that only such characters have, so in text without the script none fires and the base's own keep
their order. New merges are the intermediate tokenizer's, merge for merge, and none of the base's goes before them on
text of the script, so every token comes out of its own text. See `docs/tokenizer.md`.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING

from kovocab.building import byte_level
from kovocab.building.pieces import append_added, append_pieces
from kovocab.building.placement import check_style, place_merges
from kovocab.building.rows import read_rows
from kovocab.tokenizer.script import HANGUL, Script
from kovocab.tokenizer.sentencepiece_model import piece_ids, read_model
from kovocab.tokenizer.tokenizer_json import AddedToken, BpeModel, TokenizerJson

if TYPE_CHECKING:
    import polars as pl


def check_kind(base: TokenizerJson) -> BpeModel:
    """Check that a base is of a kind that targets are built of.

    Returns:
        Its model.

    Raises:
        TokenizerError: it is not; says what it does otherwise.
    """
    return byte_level.check_byte_level(base) if base.spelling.byte_level else check_style(base)


def build_target(base: TokenizerJson, vocabulary: "pl.DataFrame", script: Script = HANGUL) -> TokenizerJson:
    """Build the target tokenizer: the base with the tokens and merges of `vocabulary`.

    New ids follow the base's, in the order of `vocabulary`; those of scaffolds (`byte_level`) follow. Of a
    SentencePiece-style base new merges stand after the base's own and before those of runs of spaces; where the base
    merges the script by itself (it is a target already, say), and of a byte-level one, they stand before all of the
    base's.

    Args:
        base: A SentencePiece-style tokenizer: BPE with byte fallback, not cut into words, `▁` for a space. Or a
            byte-level one.
        vocabulary: Columns `token`, `left` and `right` (str), in merge order, written as in word counts. A character
            has null parts. Any other token is `left` + `right`, each an earlier token, a token of the base, or `▁`. A
            token that the base has keeps its id. Of a base that merges the script, list also the tokens that new ones
            are built from: a new token whose parts the base only merges later may be out of reach.
        script: What new tokens are made of.

    Returns:
        The target. The same base and vocabulary give the same tokenizer, byte for byte.

    Raises:
        TokenizerError: the base is of another kind, or a row of `vocabulary` cannot be used; names the row.
    """
    in_bytes, script = base.spelling.byte_level, base.spelling.possible(script)
    model = check_kind(base)
    vocabulary = byte_level.without_scaffolds(vocabulary) if in_bytes else vocabulary
    base_tokens = base.merged
    rows = list(read_rows(vocabulary, base_tokens, base.taken, script))
    if in_bytes:
        merges = byte_level.place_over_bytes(base, model.merges, rows, script)
    else:
        merges = place_merges(model.merges, rows, base_tokens, script)
    new = [token for token, _, _ in rows if token not in base_tokens]
    new += byte_level.scaffolds(base, {token for token, _, _ in rows})
    # tokenizers renumbers an added token that the model does not hold as soon as the model grows.
    vocab = dict(sorted(base.ids.items(), key=itemgetter(1)))
    vocab |= {base.spelling.spell(token): i for i, token in enumerate(new, base.size)}
    return replace(base, model=replace(model, vocab=vocab, merges=merges))


def build_target_model(
    base_model: bytes,
    vocabulary: "pl.DataFrame | None",
    added_tokens: Sequence[AddedToken] = (),
    script: Script = HANGUL,
) -> bytes:
    """Build the target's `tokenizer.model`: what `build_target` builds, in SentencePiece's form.

    Args:
        base_model: The bytes of the base's `tokenizer.model`.
        vocabulary: As for `build_target`; None of the base itself.
        added_tokens: The base's. Those that the model lacks become its pieces, before the new ones.
        script: As for `build_target`.

    Returns:
        The bytes of the target's, the same every time.

    Raises:
        TokenizerError: the model is of a kind that is not covered, its scores leave no room, or a row of
            `vocabulary` cannot be used.
    """
    proto = read_model(base_model, "the base's tokenizer.model")
    append_added(proto, added_tokens)
    text, added = piece_ids(proto)
    rows = [] if vocabulary is None else list(read_rows(vocabulary, text, added, script))
    return append_pieces(proto, rows, script)
