"""Small tokenizers whose merges are drawn at random: some tokens out of reach, some made in several ways."""

from typing import Any

from hypothesis import strategies as st

from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import tokenizer_of

LETTERS = "abcd▁é"


@st.composite
def random_bpe(draw: st.DrawFn, most: int = 25) -> TokenizerJson:
    """A SentencePiece-style tokenizer over some letters: merges in a drawn order, and tokens that nothing makes."""
    tokens = list(LETTERS)
    merges: list[list[str]] = []
    for _ in range(draw(st.integers(0, most))):
        left, right = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if len(left + right) <= 8 and [left, right] not in merges:
            merges.append([left, right])
            tokens += [left + right] if left + right not in tokens else []
    if draw(st.booleans()):  # else parts come before what is made of them
        merges = draw(st.permutations(merges))
    tokens += draw(st.lists(st.text("abcd", min_size=3, max_size=5), max_size=3))
    return sentencepiece_style(list(dict.fromkeys(tokens)), merges)


def sentencepiece_style(tokens: list[str], merges: list[list[str]]) -> TokenizerJson:
    """A tokenizer that falls back to bytes, of these tokens behind `<unk>`, `</s>` and the bytes."""
    first = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    space: dict[str, Any] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back: dict[str, Any] = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False) | {"special": True}
    model = {
        "type": "BPE",
        "vocab": {token: i for i, token in enumerate([*first, *tokens])},
        "merges": merges,
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
    }
    return tokenizer_of(
        {
            "model": model,
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]},
            "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "added_tokens": [{"id": i, "content": first[i], **flags} for i in (0, 1)],
        }
    )
