"""The construction for a byte-level base: the script's merges stand above the base's, over the first two bytes.

A character of three bytes is made in two merges: its first two bytes, then the third. The first two are a token of the
base, or a new one that is no text, a *scaffold*. Only characters of the script begin with them (`Script.in_bytes`),
and the byte that begins one stands nowhere else; so these merges fire in no other text. A character of two bytes is
one merge. After them come the vocabulary's merges of characters, as the intermediate tokenizer learned them; then the
base's own.

All that the order of merges depends on is the base and the script, but for which tokens are there: the target of
fewer tokens has the merges of the target of more, less those that need a token that is gone. `refine` counts on it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from kovocab.building.rows import Row
from kovocab.errors import TokenizerError
from kovocab.tokenizer.script import SPACE, Script
from kovocab.tokenizer.spelling import BYTES
from kovocab.tokenizer.tokenizer_json import BpeModel, Merge, TokenizerJson

if TYPE_CHECKING:
    import polars as pl


def check_byte_level(base: TokenizerJson) -> BpeModel:
    """Check that a byte-level base is one that the construction holds for.

    Returns:
        Its model.

    Raises:
        TokenizerError: it is not; says what it does otherwise.
    """
    model, cut, normalizer = base.model, base.pre_tokenizer or {}, base.normalizer or {}
    refused = "the base is not a byte-level tokenizer that kovocab covers"
    if not isinstance(model, BpeModel):
        raise TokenizerError(f"{refused}: its model is {model.type}, wanted BPE")
    steps = [step["type"] for step in normalizer.get("normalizers", [normalizer]) if step]
    parts = cut.get("pretokenizers", [cut])
    missing = [byte for byte, character in enumerate(BYTES) if character not in model.vocab]
    not_covered = {
        f"it has no token for the byte {missing[0] if missing else 0}": bool(missing),
        "its merges depend on where in a word they are": bool(
            model.continuing_subword_prefix or model.end_of_word_suffix
        ),
        "it drops merges at random": bool(model.dropout),
        "it does not read text in bytes": not parts or parts[-1].get("type") != "ByteLevel",
        "it puts a space before a text": any(part.get("add_prefix_space") for part in parts),
        f"it normalises text ({', '.join(steps)})": not set(steps) <= {"NFC"},
    }
    for reason, applies in not_covered.items():
        if applies:
            raise TokenizerError(f"{refused}: {reason}")
    return model


def scaffold(character: str) -> str:
    """The first two bytes of a character of three; nothing of a shorter one, which needs none."""
    raw = character.encode()
    return f"<0x{raw[0]:02X}><0x{raw[1]:02X}>" if len(raw) == 3 else ""


def scaffolds(base: TokenizerJson, tokens: Collection[str]) -> list[str]:
    """The scaffolds that a vocabulary of these tokens needs and a base lacks, in order."""
    known = base.merged
    needed = missing_scaffolds(base, tokens)
    return sorted({prefix for character, prefix in needed.items() if character in tokens or character in known})


def missing_scaffolds(base: TokenizerJson, tokens: Iterable[str]) -> dict[str, str]:
    """The scaffold that each character of `tokens` needs and a base lacks; nothing of a character that needs none."""
    if not base.spelling.byte_level:
        return {}
    known = base.merged
    needed = {character: scaffold(character) for character in _characters(tokens)}
    return {character: prefix for character, prefix in needed.items() if prefix and prefix not in known}


def without_scaffolds(vocabulary: "pl.DataFrame") -> "pl.DataFrame":
    """The rows that are text: the others, which `refine` lists too, follow from them."""
    if "token" not in vocabulary.columns:
        return vocabulary
    return vocabulary.filter(~vocabulary["token"].str.contains("^<0x[0-9A-F]{2}><0x[0-9A-F]{2}>$").fill_null(False))


def place_over_bytes(base: TokenizerJson, merges: Sequence[Merge], rows: Sequence[Row], script: Script) -> list[Merge]:
    """Place the merges of `rows`, and those that make their characters, above the base's.

    Args:
        base: The base.
        merges: The base's, in rank order.
        rows: The vocabulary.
        script: Of the new tokens, as `Script.in_bytes` has it.

    Returns:
        Pairs of tokens as the file spells them.
    """
    spell, known = base.spelling.spell, base.merged
    tokens = dict.fromkeys(token for token, _, _ in rows)
    used = {character for character in _characters(tokens) if character in tokens or character in known}
    prefixes = {scaffold(character) for character in used} | {token for token in known if _begins(token, script)}
    used |= {t for t in known if len(t) == 1 and script.can_be_new(t) and scaffold(t) in prefixes | {""}}
    top = [(BYTES[int(prefix[3:5], 16)], BYTES[int(prefix[9:11], 16)]) for prefix in sorted(prefixes - {""})]
    for character in sorted(used):
        spelled = spell(character)
        if len(spelled) > 1:
            top.append((spelled[:-1], spelled[-1]))
    top += [(spell(left), spell(right)) for _, left, right in rows if left is not None and right is not None]
    # Of a merge listed twice, tokenizers keeps the later rank: the lower copies have to go.
    seen = set(top)
    rest = []
    for merge in _with_splits(base, merges, tokens, script):
        if merge not in seen:
            seen.add(merge)
            rest.append(merge)
    return top + rest


def _with_splits(
    base: TokenizerJson, merges: Sequence[Merge], tokens: Collection[str], script: Script
) -> Iterator[Merge]:
    """The base's merges, each that makes a token of the script with every other way to make it of two tokens.

    Merges above have changed which parts the base's own tokens of the script meet.
    """
    spell, known = base.spelling.spell, base.merged
    of_script = {i: token for i, token in base.text_of.items() if len(token) > 1 and script.can_be_new(token)}
    for merge in merges:
        yield merge
        if token := of_script.get(base.model.vocab["".join(merge)]):
            for at in range(1, len(token)):
                left, right = token[:at], token[at:]
                if (left in known or left in tokens) and (right in known or right in tokens):
                    yield spell(left), spell(right)


def _characters(tokens: Iterable[str]) -> set[str]:
    return {character for token in tokens for character in token} - {SPACE}


def _begins(token: str, script: Script) -> bool:
    """Whether a token is the first two bytes of characters that new tokens may hold."""
    if len(token) != 12 or not token.startswith("<0xE"):
        return False
    first, second = int(token[3:5], 16), int(token[9:11], 16)
    start = (first & 0xF) << 12 | (second & 0x3F) << 6
    return any(script.can_be_new(chr(start + last)) for last in range(64))
