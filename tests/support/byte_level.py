"""Byte-level tokenizers: the real ones, one made on the spot, and text that is hard to cut."""

import copy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.reference import zstd
from support.vocabularies import changed

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
CL100K = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
MARKS = r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SEVERAL = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
"""Patterns of the kind that newer bases have: one, and three that cut one after another."""


def load(data: Path, name: str) -> TokenizerJson:
    """A real tokenizer: gpt2, phi2 or qwen2; or llama3, which is qwen2 with what Llama 3 has otherwise."""
    folder = data / "tokenizers" / name
    if name in ("gpt2", "phi2"):
        return load_tokenizer(folder)
    qwen2 = parse(zstd.decompress((data / "tokenizers/qwen2/tokenizer.json.zst").read_bytes()), name)
    if name == "qwen2":
        return qwen2

    def to_llama3(config: dict[str, Any]) -> None:
        config["normalizer"] = None
        config["model"]["ignore_merges"] = True
        config["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": CONTRACTIONS + CL100K}

    return changed(qwen2, to_llama3)


def symbols() -> dict[int, str]:
    """The character that stands for each byte."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {byte: chr(0x100 + i) for i, byte in enumerate(others)}


def spelled(text: str) -> str:
    """`text` as a byte-level tokenizer writes a token."""
    table = symbols()
    return "".join(table[byte] for byte in text.encode())


def tiny(**parts: Any) -> dict[str, Any]:
    """A tokenizer.json with some merges of English and Korean; `parts` replace its own."""
    vocab = [*symbols().values()]
    merges = []
    for left, right in [("t", "h"), ("th", "e"), (" ", "the"), ("\r", "\n"), ("1", "2"), (" ", " "), ("'", "s")]:
        merges.append([spelled(left), spelled(right)])
    table = symbols()
    for character in "안녕나무":
        first, second, third = (table[byte] for byte in character.encode())
        merges += [[first, second], [first + second, third]]
    merges += [[spelled(left), spelled(right)] for left, right in [("안", "녕"), (" ", "안녕"), ("나", "무")]]
    vocab += dict.fromkeys(left + right for left, right in merges)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": {token: i for i, token in enumerate(vocab)}, "merges": merges}
    made = {"model": model, "pre_tokenizer": byte_level, "decoder": byte_level, "added_tokens": []}
    return copy.deepcopy(made | parts)


def split_by(*patterns: str, steps: tuple[Any, ...] = (), gpt2: bool = False) -> dict[str, Any]:
    """A pre-tokenizer that cuts by patterns, or `steps`, and writes bytes."""
    cuts = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in patterns
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": gpt2}
    return {"type": "Sequence", "pretokenizers": [*cuts, *steps, byte_level]}


def added(content: str, i: int, **flags: bool) -> dict[str, Any]:
    """An added token as the file has it."""
    off = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": i, "content": content, **off, **flags}


_KINDS = [
    "가나다라한국어ㅋㅎㅠ", "abcXYZ", "0123456789", " \t\n\r\u00a0\u3000\u2003\u0085", "'’`“”.,!?()[]<>-_/\\",
    "\u1112\u1161\u11ab\u1100\u11a8\u115f\u1160\ud7b0\ua960", "ﾡﾢﾣｱﾞ", "\u200d\u200c\u200b\ufe0f\u202e\u2066",
    "👨👩🏽❤🇰🇷", "\0\x01\x1f\x7f\x1c", "éñüıİſKÅ\u0301\u030a\u0323", "漢字カひが\u3099", "עבריתالعربية",
    "२३४Ⅷ½²①", "▁▂", "ภาษาไทยกำ", "का क्षि",
]  # fmt: skip
_WHOLE = [
    "'s",
    "'S",
    "'ll",
    "'VE",
    "'ſ",
    "  안녕",
    "\t\t",
    "<|endoftext|>",
    "<|im_start|>",
    " " * 70,
    "\n\n\n",
    "\r\n",
    " \n ",
]
hard_text = st.lists(
    st.one_of(
        *(st.text(kind, min_size=1, max_size=5) for kind in _KINDS),
        st.sampled_from(_WHOLE),
        st.characters(exclude_categories=["Cs"]),
        st.text("가나다", min_size=60, max_size=90),
    ),
    max_size=40,
).map("".join)
"""Text in which what is told apart stands side by side."""
