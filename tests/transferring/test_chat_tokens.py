"""Real tokenizers: their siblings' chat tokens keep their ids, whether SentencePiece-style or byte-level."""

from dataclasses import replace

import polars as pl
import pytest

from kovocab.building.promises import check_text_without_script
from kovocab.building.target import build_target
from kovocab.errors import ModelError
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import AddedToken
from kovocab.transferring.chat_tokens import ids_of, target_of
from kovocab.transferring.siblings import Three
from support.byte_level import load

CHAT = "<|im_start|>user\nWhat's 2 + 2? 漢字 🙂\n<|im_end|>\n<tool_call>{}</tool_call>"
TOKENS = ("<tool_call>", "</tool_call>")
TABLE = pl.DataFrame(
    {"token": ["쀍", "쨃", "쀍쨃"], "left": [None, None, "쀍"], "right": [None, None, "쨃"]},
    schema={"token": pl.String, "left": pl.String, "right": pl.String},
)


class Named:
    """A model of which nothing but its tokenizer is looked at."""

    def __init__(self, called, tokenizer):
        self.called, self.tokenizer, self.rows = called, tokenizer, tokenizer.size + 400


def with_tokens(base, tokens):
    more = tuple(AddedToken(i, token) for i, token in enumerate(tokens, base.size))
    vocab = dict(base.model.vocab) | {token.content: token.id for token in (*base.added_tokens, *more)}
    return replace(base, model=replace(base.model, vocab=vocab), added_tokens=(*base.added_tokens, *more))


@pytest.mark.parametrize("name", ["mistral_v1", "phi2", "qwen2", "llama3"])
def test_on_real_tokenizers(data, name):
    base = load_tokenizer(data / "tokenizers" / name) if name == "mistral_v1" else load(data, name)
    instruct, adapted = with_tokens(base, TOKENS), build_target(base, TABLE)
    three = Three(Named("base", base), Named("adapted", adapted), Named("instruct", instruct))
    ids = ids_of(three)
    assert (ids.old, ids.chat, ids.moved_by) == (base.size, base.size + 2, 2)
    target = target_of(adapted, instruct, ids)
    before, old, new = Reference(instruct), Reference(adapted), Reference(target)
    assert new.encode([CHAT]) == before.encode([CHAT])
    assert new.encode(["<tool_call>"]) == [[base.size]]
    check_text_without_script(before, new, [CHAT])
    for text in ("쀍쨃 무엇 쀍", "나무 쨃쨃 mixed"):
        theirs = old.encode([text])[0]
        assert max(theirs) >= base.size
        assert new.encode([text])[0] == [i + 2 if i >= base.size else i for i in theirs]
        assert new.decode(new.encode([text])[0]) == old.decode(theirs)


def renamed(base, old, name):
    added = tuple(replace(token, content=name) if token.content == old else token for token in base.added_tokens)
    vocab = {name if token == old else token: i for token, i in base.model.vocab.items()}
    return replace(base, model=replace(base.model, vocab=vocab), added_tokens=added)


def test_a_reserved_token_that_the_sibling_gave_a_name_has_it(data):
    """As of Llama 3's reserved ones: no id moves."""
    base = with_tokens(load(data, "llama3"), ["<|reserved_special_token_0|>"])
    instruct, adapted = renamed(base, "<|reserved_special_token_0|>", "<|eot|>"), build_target(base, TABLE)
    ids = ids_of(Three(Named("base", base), Named("adapted", adapted), Named("instruct", instruct)))
    assert ids.moved_by == 0
    target = Reference(target_of(adapted, instruct, ids))
    assert target.encode(["Hi<|eot|>"]) == Reference(instruct).encode(["Hi<|eot|>"])
    assert target.encode(["<|eot|>"]) == [[base.size - 1]]


def test_what_is_another_tokenizer_is_refused(data):
    base = load(data, "phi2")
    adapted = build_target(base, TABLE)

    def asked(instruct, adapted=adapted):
        return ids_of(Three(Named("base", base), Named("adapted", adapted), Named("instruct", instruct)))

    with pytest.raises(ModelError, match=r"of instruct is not that of base|instruct has other merges"):
        asked(load(data, "qwen2"))
    with pytest.raises(ModelError, match="the normalizer of the tokenizer of instruct"):
        asked(replace(base, normalizer={"type": "NFC"}))
    with pytest.raises(ModelError, match="'쀍' is a chat token of instruct and a new token of adapted"):
        asked(with_tokens(base, ["쀍"]))
    with pytest.raises(ModelError, match="id 50,294 is"):
        asked(replace(base, added_tokens=base.added_tokens[:-1]))
    with pytest.raises(ModelError, match=r"of adapted is not that of base|id 0 is"):
        asked(base, load(data, "qwen2"))
