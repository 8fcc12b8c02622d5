"""What a target of the same size keeps, checked on what was saved; each check names the first offender."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kovocab.building.promises import (
    batches,
    check_model,
    check_reachable,
    difference,
    excerpt,
    lost,
    texts_without_script,
)
from kovocab.building.ranked_model import check_every_token
from kovocab.errors import TokenizerError
from kovocab.replacing.exchange import new_ids
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import Script
from kovocab.tokenizer.spelling import BYTE_PIECES
from kovocab.tokenizer.tokenizer_json import STEPS, TokenizerJson

if TYPE_CHECKING:
    import polars as pl


def check_promises(
    base: Reference,
    appended: TokenizerJson,
    target: Reference,
    gone: frozenset[int],
    texts: Sequence[str],
    vocabulary: "pl.DataFrame",
    model: bytes | None,
    script: Script,
) -> dict[str, int]:
    """Check all promises.

    Args:
        base: The base tokenizer.
        appended: The base with the new tokens appended.
        target: What was saved.
        gone: The ids of the base's tokens that went.
        texts: Lines of text, with the script and without.
        vocabulary: The new tokens, and tokens of the base that new merges make.
        model: The bytes of its `tokenizer.model`, where there is one.
        script: Of the new tokens.

    Returns:
        How much was checked: `kept_ids`, `texts_as_before`, `texts_with_replaced_tokens`, `new_tokens` and
        `kept_tokens` reachable, `base_tokens_unreachable` (which the base's merges never made, or not those of the base
        with new tokens appended, and which are still there), `texts_decoded`, and with `model` `texts_in_model`.

    Raises:
        TokenizerError: a promise is broken; says which, and by what.
    """
    checked = {"kept_ids": check_ids(appended, target.document, gone)}
    checked |= check_texts(base, target, gone, texts, script)
    check_reachable(target, vocabulary)
    checked["new_tokens"] = len(gone)
    checked |= check_kept(appended, target.document, gone)
    if model is not None:
        checked["texts_in_model"] = check_model(target, model, texts)
        check_every_token(target.document, model)
    return checked


def check_ids(appended: TokenizerJson, target: TokenizerJson, gone: frozenset[int]) -> int:
    """See that kept tokens have their ids, new ones those of the tokens that went, and all else is the base's.

    Returns:
        The number of kept tokens.

    Raises:
        TokenizerError: names the first token whose id is another, or the part of the tokenizer that changed.
    """
    moved = new_ids(appended, sorted(gone))
    first = appended.size - len(gone)
    wanted = {moved.get(i, i): token for i, token in appended.text_of.items() if i not in gone}
    got = target.text_of
    for i in sorted(wanted.keys() | got.keys()):
        if wanted.get(i) != got.get(i):
            raise TokenizerError(f"promise 1, ids: {i:,} is {got.get(i)!r} in the target; wanted {wanted.get(i)!r}")
    for part in ("added_tokens", *STEPS):
        if getattr(appended, part) != getattr(target, part):
            raise TokenizerError(f"promise 1, ids: the target's {part} is not the base's")
    return first - len(gone)


def check_texts(
    base: Reference, target: Reference, gone: frozenset[int], texts: Iterable[str], script: Script
) -> dict[str, int]:
    """See that text without the script has the base's ids where none is of a token that went; and that all comes back.

    Raises:
        TokenizerError: names the first text that has others, or that is decoded otherwise than the base decodes it.
    """
    same = other = decoded = 0
    for batch in batches(texts_without_script(base.document, texts, script)):
        encoded = base.encode(batch), target.encode(batch)
        decoded += _decoded(base, target, batch, *encoded)
        for text, before, after in zip(batch, *encoded, strict=True):
            if not gone.isdisjoint(before):
                other += 1
            elif before == after:
                same += 1
            else:
                raise TokenizerError(
                    f"promise 2, text without {script.name} and tokens that went: "
                    f"{difference(base, text, before, after)}"
                )
    for batch in batches(text for text in texts if script.holds(text)):
        decoded += _decoded(base, target, batch, base.encode(batch), target.encode(batch))
    return {"texts_as_before": same, "texts_with_replaced_tokens": other, "texts_decoded": decoded}


def _decoded(base: Reference, target: Reference, texts: list[str], old: list[list[int]], new: list[list[int]]) -> int:
    for text, before, after in zip(texts, old, new, strict=True):
        if (wanted := base.decode(before)) != (got := target.decode(after)):
            raise TokenizerError(f"promise 4, decoding: {excerpt(text)} comes back as {got!r}; wanted {wanted!r}")
    return len(texts)


def check_kept(appended: TokenizerJson, target: TokenizerJson, gone: frozenset[int]) -> dict[str, int]:
    """See that merges make each kept token of its own text, where they did with the new tokens appended.

    Raises:
        TokenizerError: names the first that they do not make any more.
    """
    first, aside = appended.size - len(gone), {token.content for token in target.added_tokens}
    if not target.spelling.byte_level:  # which stand for bytes, and not for their text
        aside |= BYTE_PIECES.keys()
    kept = [text for i, text in appended.text_of.items() if i < first and i not in gone and text not in aside]
    never = {token for token, _ in lost(Reference.of(appended), kept)}
    for token, pieces in lost(Reference.of(target), kept):
        if token not in never:
            parts = [target.text_of[piece] for piece in pieces]
            raise TokenizerError(f"promise 3, reachable tokens: the text of the kept {token!r} encodes to {parts}")
    return {"kept_tokens": len(kept) - len(never), "base_tokens_unreachable": len(never)}
