"""The promises that a target tokenizer keeps, each a check that names the first offender.

`check_promises` runs them on a sample of text; `refine` calls it on what it saved. They measure, they do not
argue: a target that someone else built is checked just as well.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, groupby, islice
from typing import TYPE_CHECKING

from kovocab.building.byte_level import scaffolds
from kovocab.building.ranked_model import check_every_token
from kovocab.building.sides import OfBase, OfTarget
from kovocab.errors import TokenizerError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, SPACE, Script
from kovocab.tokenizer.tokenizer import base_pieces
from kovocab.tokenizer.tokenizer_json import TokenizerJson

if TYPE_CHECKING:
    import polars as pl

Tokenizer = TokenizerJson | Reference
"""A tokenizer, or the same as the library has it already."""

# Encodings take some hundred bytes a token; this many texts at a time keep memory small.
_BATCH = 1_000

_PLANES = range(0x40000), range(0xE0000, 0xF0000)
"""Of Unicode, those with assigned characters: the others are reserved, or for private use."""

_PARTS = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder")

_NASTY = (
    "",
    *(" " * n for n in range(1, 40)),
    *(" " * n + "x" for n in range(40)),
    *("\n" * n + "\t" * n + "y" for n in range(1, 20)),
    "\r\n\u00a0\u2003\u3000\u200b\ufeff x\u2028y\u2029z \v\f",
    "▁", "▁▁ ▁x ▁ ▁▁▁", " ▁ x▁",
    "The quick brown fox didn't jump over 13 lazy dogs' backs; it can't. MixedCase iPhone3GS re-entered.",
    "Größe à Noël, niño; žluťoučký kůň; İstanbul'da; съешь ещё этих булок; ξεσκεπάζω; Tiếng Việt có dấu.",
    "def f(x: int) -> str:\n    return f'{x!r:>10}'  # \\n \\x00\n\n\nif __name__ == \"__main__\":\n\tf(1)\n",
    "<html><body class=\"a\">&nbsp;</body></html>  {\"k\": [1, 2.5e-10, null]}  $\\frac{a}{b}$  ~~~***___",
    "https://example.com/a?b=c&d=%EA%B0%80#e user@example.com C:\\Users\\x /usr/bin/env 192.168.0.1",
    "<0xEA><0xB0><0x80> <0x0A> &#44032; \\uac00 =EA=B0=80 ê°€ 媛 \ufffd\ufffd\ufffd",
    "👨‍👩‍👧‍👦👩🏽‍💻🏳️‍🌈🇰🇷🇺🇸☝🏿❤️‍🔥 🤷‍♂️ 1️⃣#️⃣ 🫠",
    "中文漢字，日本語のテキスト。カタカナ ﾊﾝｶｸ ｶﾞ ぱぴぷ 々〆〇 ㊗㈱㍿ ㄅㄆㄇㄈ 𠮷𩸽",
    "ภาษาไทยไม่มีวรรค ກຂຄ မြန်မာ ភាសាខ្មែរ हिन्दी বাংলা தமிழ் తెలుగు العَرَبِيَّة עִבְרִית ქართული ⵜⴰⵎⴰⵣⵉⵖⵜ",
    "Zạ̷̡͖̘́͊l̶͚̈́g̵͎̐o̷ é e\u0301 Å A\u030a ﬁ ½ ² ① Ⅷ ℌ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ß ẞ İı ſ",
    "\x00\x01\x1b[31m\x7f\x80\x9f\u00ad\u061c\u202e\u2066\ufff9\ufffe\uffff\U000e0041\U0010ffff",
)  # fmt: skip
"""Text without Hangul that tokenizers have tripped over, or that looks like the bytes of Hangul."""


def check_promises(
    base: Tokenizer,
    target: Tokenizer,
    texts: "Sequence[str] | pl.Series",
    vocabulary: "pl.DataFrame",
    model: bytes | None = None,
    script: Script = HANGUL,
) -> dict[str, int]:
    """Check all promises.

    Args:
        base: The base tokenizer.
        target: The target that was built from it.
        texts: Documents, with the script and without.
        vocabulary: What the target was built with; the columns of `kovocab.building.target.build_target`.
        model: The bytes of the target's `tokenizer.model`, where there is one.
        script: What new tokens are made of. What is said of Hangul below holds for it.

    Returns:
        How much was checked: `base_tokens`, `texts_without_hangul`, `new_tokens`, `base_tokens_reachable` (tokens of
        `vocabulary` that are the base's, and still come out of their text), `texts_with_hangul`, and with `model` also
        `texts_in_model`.

    Raises:
        TokenizerError: a promise is broken; says which, and by what.
    """
    documents = list(texts)
    old, new = OfBase(Reference.of(base)), OfTarget(Reference.of(target))
    script = old.document.spelling.possible(script)
    checked = {
        "base_tokens": check_base_ids(old.document, new.document, vocabulary),
        "texts_without_hangul": check_text_without_script(old, new, documents, script),
        "new_tokens": check_reachable(new, vocabulary),
        "base_tokens_reachable": (remade := sum(token in old.document.texts for token in vocabulary["token"])),
        "texts_with_hangul": check_decoding(old, new, documents, script),
    }
    checked["new_tokens"] -= remade
    if model is not None:
        checked["texts_in_model"] = check_model(new, model, documents)
        check_every_token(new, model)
    return checked


def check_base_ids(base: TokenizerJson, target: TokenizerJson, vocabulary: "pl.DataFrame") -> int:
    """Promise 1: base ids keep their meaning, and new ids follow them in the order of `vocabulary`, then scaffolds.

    Returns:
        The number of base tokens.

    Raises:
        TokenizerError: names the first token whose id is another, or the part of the tokenizer that changed.
    """
    old, spelling = base.ids, base.spelling
    tokens = dict.fromkeys([*vocabulary["token"], *scaffolds(base, set(vocabulary["token"]))])
    new = (spelled for token in tokens if (spelled := spelling.spell(token)) not in old)
    wanted = old | {token: i for i, token in enumerate(new, base.size)}
    got = target.ids
    if wanted != got:
        others = {token for token, _ in wanted.items() ^ got.items()}
        token = min(others, key=lambda token: (wanted.get(token, len(got)), token))
        kind = "base" if token in old else "new"
        raise TokenizerError(
            f"promise 1, ids: the {kind} token {spelling.read(token)!r} has id {got.get(token)} in the target; "
            f"wanted {wanted.get(token)}"
        )
    for part in _PARTS:
        if getattr(base, part) != getattr(target, part):
            raise TokenizerError(f"promise 1, ids: the target's {part} is not the base's")
    return len(old)


def check_text_without_script(base: Tokenizer, target: Tokenizer, texts: Iterable[str], script: Script = HANGUL) -> int:
    """Promise 2: text without the script is encoded as before, id by id.

    Checked on the documents without it, on the runs of lines without it of the others, on every assigned character,
    and on a list of nasty strings.

    Returns:
        The number of texts.

    Raises:
        TokenizerError: names the first text that is encoded differently, and where.
    """
    old, new = Reference.of(base), Reference.of(target)
    count = 0
    for batch in batches(texts_without_script(old.document, texts, script)):
        for text, before, after in zip(batch, old.encode(batch), new.encode(batch), strict=True):
            if before != after:
                raise TokenizerError(f"promise 2, text without {script.name}: {difference(old, text, before, after)}")
        count += len(batch)
    return count


def texts_without_script(base: TokenizerJson, texts: Iterable[str], script: Script = HANGUL) -> Iterator[str]:
    """What promise 2 is checked on, see `check_text_without_script`."""
    special = [token.content for token in base.added_tokens]
    nasty = [*_NASTY, *special, *(f"a {token}b\n{token} {token}" for token in special), *_characters(script)]
    return (part for text in chain(texts, nasty) for part in _without(script, text))


def check_reachable(target: Tokenizer, vocabulary: "pl.DataFrame") -> int:
    """Promise 3: each token of `vocabulary` is what its own text encodes to, through merges alone.

    Of a byte-level target, which puts nothing before a text, the whole tokenizer has to give it too.

    Returns:
        The number of tokens.

    Raises:
        TokenizerError: names the first token that its text does not give, and what it gives.
    """
    reference, tokens = Reference.of(target), vocabulary["token"]
    document = reference.document
    for token, pieces in lost(reference, tokens):
        parts = [document.text_of[piece] for piece in pieces]
        raise TokenizerError(f"promise 3, reachable tokens: the text of {token!r} encodes to {parts}")
    if document.spelling.byte_level:
        text = [token for token in tokens if not token.startswith("<0x")]
        for token, ids in zip(text, reference.encode([token.replace(SPACE, " ") for token in text]), strict=True):
            if ids != [document.texts[token]]:
                parts = [document.text_of[i] for i in ids]
                raise TokenizerError(f"promise 3, reachable tokens: {token!r} as a text of its own encodes to {parts}")
    return len(tokens)


def check_decoding(base: Tokenizer, target: Tokenizer, texts: Iterable[str], script: Script = HANGUL) -> int:
    """Promise 4: what the target encodes it decodes to what the base would have given back.

    Returns:
        The number of texts: those that hold the script.

    Raises:
        TokenizerError: names the first text that comes back differently.
    """
    references = Reference.of(base), Reference.of(target)
    count = 0
    for batch in batches(text for text in texts if script.holds(text)):
        before, after = (reference.decode_all(reference.encode(batch)) for reference in references)
        for text, old, new in zip(batch, before, after, strict=True):
            if old != new:
                at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
                near = slice(max(at - 10, 0), at + 20)
                raise TokenizerError(
                    f"promise 4, decoding: {excerpt(text)} comes back with {new[near]!r} where the base "
                    f"gives {old[near]!r}"
                )
        count += len(batch)
    return count


def check_model(target: Tokenizer, model: bytes, texts: Iterable[str]) -> int:
    """Promise 5: `tokenizer.json` and `tokenizer.model` agree.

    A text that holds a special token literally is passed over: tokenizers reads the token, SentencePiece the
    characters, in the base as in the target.

    Args:
        target: The target tokenizer.
        model: The bytes of its `tokenizer.model`.
        texts: Documents.

    Returns:
        The number of texts compared.

    Raises:
        TokenizerError: names the first text on which they differ, and where; or SentencePiece does not load
            `model`.
    """
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise TokenizerError(f"promise 5, tokenizer.model: SentencePiece does not load it: {error}") from error
    reference = Reference.of(target)
    special = [token.content for token in reference.document.added_tokens]
    count = 0
    for batch in batches(text for text in texts if not any(token in text for token in special)):
        # num_threads=-1: as many as there are processors.
        for text, ours, theirs in zip(
            batch, reference.encode(batch), processor.encode(batch, num_threads=-1), strict=True
        ):
            if ours != theirs:
                raise TokenizerError(
                    f"promise 5, tokenizer.json (before) and tokenizer.model (after): "
                    f"{difference(reference, text, ours, theirs)}"
                )
        count += len(batch)
    return count


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Some texts at a time."""
    iterator = iter(texts)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def lost(target: Reference, tokens: Iterable[str]) -> list[tuple[str, list[int]]]:
    """Those of some tokens that their own text does not give, each with what it gives."""
    listed, ids = list(tokens), target.document.texts
    encoded = zip(listed, base_pieces(target, listed), strict=True)
    return [(token, pieces) for token, pieces in encoded if pieces != [ids.get(token)]]


def _without(script: Script, text: str) -> Iterator[str]:
    """Yield `text`, if it holds nothing of the script, or else each longest run of lines that holds nothing of it."""

    def holds(text: str) -> bool:
        return script.holds(text) or script.holds(unicodedata.normalize("NFC", text))  # as a base may read it

    if not holds(text):
        yield text
        return
    for with_script, lines in groupby(text.split("\n"), holds):
        if not with_script and (run := "\n".join(lines)):
            yield run


def _characters(script: Script) -> Iterator[str]:
    """Yield every assigned character, 64 to a text; surrogates cannot stand in one."""
    every = [*map(chr, chain(*_PLANES))]
    assigned = "".join(compress(every, (kind not in ("Cn", "Co", "Cs") for kind in map(unicodedata.category, every))))
    kept = "".join(re.split(f"[{script.characters}]", assigned))
    for start in range(0, len(kept), 64):
        yield kept[start : start + 64]


def difference(reference: Reference, text: str, before: Sequence[int], after: Sequence[int]) -> str:
    """Say where a text came out otherwise, before and after."""
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
    near = reference.decode(before[max(at - 8, 0) : at + 8])
    return (
        f"{excerpt(text)} differs from token {at} on, near {near!r}: before {list(before[at : at + 5])}, "
        f"after {list(after[at : at + 5])}"
    )


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    return repr(text if len(text) <= 40 else text[:40] + "…")
