"""Where the merges of new tokens stand among a SentencePiece-style base's.

A new token is of the script, with or without a space before it, and so is every merge that makes one. In text without
the script no new merge can fire, wherever it stands; the place decides how text of the script comes out.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from kovocab.building.rows import Row
from kovocab.errors import TokenizerError
from kovocab.tokenizer.script import SPACE, Script
from kovocab.tokenizer.tokenizer_json import BpeModel, Merge, TokenizerJson

NO_CUT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
"""Gemma's: at spaces, of which its normaliser leaves none."""


def merges_script(tokens: Iterable[str], script: Script) -> bool:
    """Whether a base with these tokens merges the script by itself: new merges then stand above all its own."""
    return script.holds("\n".join(token for token in tokens if len(token) > 1))


def check_style(base: TokenizerJson) -> BpeModel:
    """Check that a base is one that the construction holds for.

    Returns:
        Its model.

    Raises:
        TokenizerError: it differs from SentencePiece's BPE in a way that it names.
    """
    model, cut, normalizer = base.model, base.pre_tokenizer, base.normalizer or {}
    refused = "the base is not a SentencePiece-style tokenizer that kovocab covers"
    if not isinstance(model, BpeModel):
        raise TokenizerError(f"{refused}: its model is {model.type}, wanted BPE")
    steps = {step["type"] for step in normalizer.get("normalizers", [normalizer]) if step}
    not_covered = {
        "it has no byte fallback": not model.byte_fallback,
        f"it has no token {SPACE} for a space": SPACE not in model.vocab,
        "its merges depend on where in a word they are": bool(
            model.continuing_subword_prefix or model.end_of_word_suffix
        ),
        "it drops merges at random": bool(model.dropout),
        f"it cuts text into words ({cut and cut['type']})": (
            cut is not None
            and (cut["type"], cut.get("split"), cut.get("replacement")) != ("Metaspace", False, SPACE)
            and not (cut == NO_CUT and "Replace" in steps)
        ),
        f"it normalises text ({', '.join(sorted(steps))})": not steps <= {"Prepend", "Replace"},
    }
    for reason, applies in not_covered.items():
        if applies:
            raise TokenizerError(f"{refused}: {reason}")
    return model


def place_merges(merges: Sequence[Merge], rows: Sequence[Row], tokens: Collection[str], script: Script) -> list[Merge]:
    """Place the merges of `rows` among the base's.

    Args:
        merges: The base's, in rank order.
        rows: The vocabulary.
        tokens: The base's, without those that are not text.
        script: Of the new tokens.
    """
    if merges_script(tokens, script):
        return _on_top(merges, rows, {*tokens, *(token for token, _, _ in rows)}, script)
    # Before the runs of spaces: the last space of a run then goes to the word after it, as in the base.
    at = len(merges)
    while at and not "".join(merges[at - 1]).strip(SPACE):
        at -= 1
    return [*merges[:at], *_new_merges(rows), *merges[at:]]


def base_of(target: TokenizerJson, first_new_id: int) -> TokenizerJson | None:
    """The base that `build_target` made a target of: the target without its new tokens and what makes them.

    Args:
        target: The target.
        first_new_id: The number of the base's tokens.

    Returns:
        A tokenizer that encodes as the base does. None where it cannot be had: of a byte-level base, and of one that
        merges the script by itself, the order of its own merges is not kept; of another kind of model nothing is known.
    """
    model = target.model
    if not isinstance(model, BpeModel) or target.spelling.byte_level:
        return None
    vocab = {token: i for token, i in model.vocab.items() if i < first_new_id}
    added = tuple(token for token in target.added_tokens if token.id < first_new_id)
    new = {character for token, i in model.vocab.items() if i >= first_new_id for character in token} - {SPACE}
    if any(len(token) > 1 and not new.isdisjoint(token) for token in vocab.keys() - {t.content for t in added}):
        return None
    merges = [(left, right) for left, right in model.merges if left + right in vocab]
    return replace(target, model=replace(model, vocab=vocab, merges=merges), added_tokens=added)


def _new_merges(rows: Sequence[Row]) -> list[Merge]:
    return [(left, right) for _, left, right in rows if left is not None and right is not None]


def _on_top(merges: Sequence[Merge], rows: Sequence[Row], pieces: Collection[str], script: Script) -> list[Merge]:
    """Put the merges of `rows` before `merges`, with every split of every token that holds the script.

    New merges change which parts the base's own tokens of the script meet. SentencePiece joins any two parts whose
    joint piece is in the model; with every split listed the two still agree, and a token of the base that new
    merges cut in two elsewhere stays within reach. One that they cut in three is lost: 12 of 7,999 where two
    vocabularies from two halves of a corpus met.
    """

    def splits(first: Merge) -> list[Merge]:
        token = "".join(first)
        every = ((token[:i], token[i:]) for i in range(1, len(token)))
        return [first, *(m for m in every if m != first and m[0] in pieces and m[1] in pieces)]

    top = [merge for first in _new_merges(rows) for merge in splits(first)]
    # Of a merge listed twice, tokenizers keeps the later rank: the lower copies have to go.
    seen = set(top)
    rest: list[Merge] = []
    for merge in merges:
        if merges_script(["".join(merge)], script):
            fresh = [m for m in splits(merge) if m not in seen]
            seen.update(fresh)
            rest.extend(fresh)
        else:
            rest.append(merge)
    return top + rest
