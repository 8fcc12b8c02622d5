"""The tokenizer of the result: the adapted one's merges, the instruct model's chat tokens, and all of them an id.

The sibling's chat tokens keep their ids. The base's free ids from its last token on are where both put theirs, the
sibling its chat tokens and `refine` the new ones: then the new ones move up, behind the chat tokens. Merges go by rank
and not by id, so no text is cut otherwise for that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kovocab.building.promises import check_model, check_text_without_script
from kovocab.building.ranked_model import is_sentencepiece_style, ranked_model
from kovocab.building.saving import save_tokenizer
from kovocab.building.target import check_kind
from kovocab.errors import ModelError, TokenizerError
from kovocab.expanding.checks import PROMPTS, open_tokenizer
from kovocab.tokenizer.companions import merged_config
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import Script
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson
from kovocab.transferring.siblings import Model, Three
from kovocab.transferring.sums import Ids

CHATS: tuple[list[dict[str, str]], ...] = (
    [
        {"role": "user", "content": "What's the capital of France?  It isn't Lyon."},
        {"role": "assistant", "content": "Paris, since 987:\n\n- on the Seine\n- 2.1 million people"},
        {"role": "user", "content": "Thanks! def f(x): return x ** 2"},
    ],
    [{"role": "user", "content": "Hello."}],
)
"""What the chat template is tried on; the shorter one where a template refuses the longer."""

MODEL_FILE = "tokenizer.model"


def ids_of(three: Three) -> Ids:
    """Whose ids are whose.

    Raises:
        TokenizerError: the base's tokenizer is of a kind of which no target is built.
        ModelError: the instruct model's tokenizer is not the base's with more or renamed added tokens, or the adapted
            model's not one of the two with new tokens; names the token, or the part of the tokenizer.
    """
    base, adapted, instruct = three
    check_kind(base.tokenizer)
    ours, theirs, grown = base.tokenizer, instruct.tokenizer, adapted.tokenizer
    for model, wanted in ((instruct, "the base's instruct sibling"), (adapted, "a model adapted from it")):
        for part in ("normalizer", "pre_tokenizer"):
            if getattr(model.tokenizer, part) != getattr(ours, part):
                raise ModelError(
                    f"the {part} of the tokenizer of {model.called} is not that of {base.called}; wanted {wanted}"
                )
    if _model_alone(theirs) != _model_alone(ours):
        raise ModelError(
            f"the tokenizer of {instruct.called} has other merges than that of {base.called}; wanted the base's "
            "instruct sibling"
        )
    added = {token.id for token in ours.added_tokens} & {token.id for token in theirs.added_tokens}
    _compare(base, instruct, range(ours.size), renamed=added, wanted="the base's instruct sibling")
    more = {token.id for token in theirs.added_tokens}
    for row in range(ours.size, theirs.size):
        if row in theirs.tokens and row not in more:
            raise ModelError(
                f"{instruct.called} has the token {theirs.tokens[row]!r} (id {row:,}), which its model holds, and not "
                f"that of {base.called}; wanted a sibling that adds chat tokens alone"
            )
    chat = range(ours.size, theirs.size)
    has_chat = bool(chat) and all(grown.tokens.get(row) == theirs.tokens.get(row) for row in chat)
    if has_chat:
        _compare(instruct, adapted, range(theirs.size), renamed=set(), wanted="a model adapted from it")
    else:
        _compare(base, adapted, range(ours.size), renamed=set(), wanted="a model adapted from it")
    old = theirs.size if has_chat else ours.size
    if base.rows < old:
        raise ModelError(
            f"{base.called} has {base.rows:,} embedding rows, and the adapted {adapted.called} took {old:,} tokens for "
            "old ones; wanted a base with a row for each"
        )
    if grown.size <= old:
        raise ModelError(
            f"{adapted.called} has no new token: {grown.size:,} of {old:,} are old; wanted an expanded model"
        )
    new = {named.get(row) for named in (grown.tokens, grown.text_of) for row in range(old, grown.size)}
    for row in range(old, theirs.size):
        if theirs.tokens.get(row) in new:
            raise ModelError(
                f"{theirs.tokens[row]!r} is a chat token of {instruct.called} and a new token of {adapted.called}; "
                "wanted it in one of them: drop it where the tokenizer is refined"
            )
    count = grown.size - old
    return Ids(old=old, chat=theirs.size, new=count, rows=max(adapted.rows, theirs.size + count))


def target_of(adapted: TokenizerJson, instruct: TokenizerJson, ids: Ids) -> TokenizerJson:
    """The tokenizer of the result, of those of the adapted and the instruct model."""
    model = adapted.model
    assert isinstance(model, BpeModel)  # as `ids_of` saw
    names = {row: token for row, token in instruct.tokens.items() if row < ids.chat}
    vocab = {names.get(row, token): row for token, row in model.vocab.items() if row < ids.old}
    # All are in the model's vocabulary too: tokenizers renumbers an added token that it does not hold.
    vocab |= {token: row for row, token in names.items() if row >= ids.old}
    vocab |= {token: row + ids.moved_by for token, row in model.vocab.items() if row >= ids.old}
    more = [replace(token, id=token.id + ids.moved_by) for token in adapted.added_tokens if token.id >= ids.old]
    return replace(
        adapted,
        model=replace(model, vocab=dict(sorted(vocab.items(), key=lambda item: item[1]))),
        added_tokens=(*instruct.added_tokens, *more),
        post_processor=instruct.post_processor,
        name="the tokenizer of the result",
    )


def save(target: TokenizerJson, folder: Path, three: Three, ids: Ids) -> str | None:
    """Write the result's tokenizer, with what the instruct model's folder says of special tokens and chat.

    Returns:
        Why there is no `tokenizer.model`, where the adapted model had one; None else.
    """
    import polars as pl

    adapted, instruct = three.adapted, three.instruct
    save_tokenizer(target, folder, base_source=instruct.folder, vocabulary=pl.DataFrame(), model_from="nothing")
    there = adapted.folder / MODEL_FILE
    if not there.is_file() and not is_sentencepiece_style(target):
        return None
    kept = [(token.id, token.content, token.special) for token in adapted.tokenizer.added_tokens]
    if there.is_file() and not ids.moved_by and kept == [(t.id, t.content, t.special) for t in target.added_tokens]:
        (folder / MODEL_FILE).write_bytes(there.read_bytes())
        return None
    try:
        (folder / MODEL_FILE).write_bytes(ranked_model(target, merged_config(folder)))
    except TokenizerError as error:
        return f"There is no {MODEL_FILE}: {error}."
    return None


def check_written(folder: Path, out: Path, three: Three, ids: Ids, script: Script) -> bool:
    """Hold what was written to the promises: text without the script as by the instruct model, new tokens as adapted.

    Args:
        folder: With config.json and the tokenizer's files.
        out: What it will be called, for the errors.
        three: The models.
        ids: Whose ids are whose.
        script: Of the new tokens.

    Returns:
        Whether there is a chat template, whose chat was compared too.

    Raises:
        TokenizerError: a promise is broken; says which, and by what.
    """
    adapted, instruct = three.adapted, three.instruct
    opened, written = open_tokenizer(folder, out), load_tokenizer(folder)
    before, after = Reference(instruct.tokenizer), Reference(written)
    chat = _rendered(instruct)
    texts = [*PROMPTS, *([] if chat is None else [chat[1]])]
    check_text_without_script(before, after, texts, script)
    if chat is not None:
        messages, wanted = chat
        given: Any = opened.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        made: Any = opened.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        if given != wanted or list(made) != before.encode([wanted])[0]:
            raise TokenizerError(
                f"the chat template of {out} gives another chat than that of {instruct.called}, or other ids for it"
            )
    new = [text for row, text in sorted(adapted.tokenizer.text_of.items()) if row >= ids.old]
    for text, theirs, ours in zip(
        [*new, *PROMPTS],
        [*base_pieces(adapted.tokenizer, new), *Reference(adapted.tokenizer).encode(PROMPTS)],
        [*base_pieces(written, new), *after.encode(PROMPTS)],
        strict=True,
    ):
        if [row + ids.moved_by if row >= ids.old else row for row in theirs] != ours:
            raise TokenizerError(f"{text!r} is cut otherwise in {out} than in {adapted.called}: {ours} and {theirs}")
    if (model := folder / MODEL_FILE).is_file():
        check_model(after, model.read_bytes(), [*PROMPTS, *(text for text in new if not text.startswith("<0x"))])
    return chat is not None


def _rendered(instruct: Model) -> tuple[list[dict[str, str]], str] | None:
    """A chat, and what the instruct model's template makes of it; None where it has none.

    Raises:
        TokenizerError: it makes nothing of any.
    """
    opened = open_any(instruct)
    if not opened.chat_template:
        return None
    for messages in CHATS:
        try:
            text: str = opened.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template raises what it likes
            said = " ".join(str(error).split())
            continue
        return messages, text
    raise TokenizerError(
        f"the chat template of {instruct.called} makes nothing of {json.dumps(CHATS[-1])}: {said}; wanted one that does"
    )


def open_any(model: Model) -> Any:
    """AutoTokenizer's view of a model, for its chat template.

    Raises:
        TokenizerError: it cannot be opened.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model.folder)
    except Exception as error:  # tokenizers raises bare Exceptions
        raise TokenizerError(f"the tokenizer in {model.called} cannot be opened: {error}") from error


def _compare(before: Model, after: Model, rows: Sequence[int], *, renamed: set[int], wanted: str) -> None:
    """See that ids stand for the same tokens in two tokenizers, but for those that may be renamed."""
    old, new = before.tokenizer.tokens, after.tokenizer.tokens
    for row in rows:
        if old.get(row) != new.get(row) and not (row in renamed and row in new):
            raise ModelError(
                f"id {row:,} is {_named(old, row)} in the tokenizer of {before.called} and {_named(new, row)} in that "
                f"of {after.called}; wanted {wanted}"
            )


def _named(tokens: Mapping[int, str], row: int) -> str:
    return repr(tokens[row]) if row in tokens else "no token"


def _model_alone(tokenizer: TokenizerJson) -> Any:
    """A model without its vocabulary, which is compared token by token."""
    model = tokenizer.model
    return replace(model, vocab={}) if isinstance(model, BpeModel) else model.type
