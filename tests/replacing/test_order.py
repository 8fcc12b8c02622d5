"""Which tokens may go: held to `tokenizers`, of random merges and of the real bases."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.replacing.exchange import exchange
from kovocab.replacing.order import Leaves, Making
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson
from support.random_bpe import LETTERS, random_bpe, sentencepiece_style
from support.vocabularies import ids


def reached(tokenizer: TokenizerJson) -> set[str]:
    """The tokens that `tokenizers` makes of their own text by merges alone."""
    texts = list(tokenizer.texts)
    return {t for t, found in zip(texts, base_pieces(tokenizer, texts), strict=True) if found == [tokenizer.texts[t]]}


def without(tokenizer: TokenizerJson, gone: list[int]) -> TokenizerJson:
    """The tokenizer less some tokens: so many others, that nothing makes, are appended for them."""
    model, size = tokenizer.model, tokenizer.size
    assert isinstance(model, BpeModel)
    vocab = {**model.vocab, **{f"<new{i}>": size + i for i in range(len(gone))}}
    return exchange(replace(tokenizer, model=replace(model, vocab=vocab)), gone)


def everything(making: Making) -> set[int]:
    return {*making.parts, *making.atoms, *making.unreachable}


@settings(deadline=None)
@given(random_bpe())
def test_what_merges_make_is_what_tokenizers_makes(tokenizer: TokenizerJson) -> None:
    making = Making.of(tokenizer)
    own = {tokenizer.ids[t] for t in reached(tokenizer) if t not in ("<unk>", "</s>")}
    assert making.parts.keys() | making.atoms == own
    for token, (left, right) in making.parts.items():
        assert tokenizer.tokens[left] + tokenizer.tokens[right] == tokenizer.tokens[token]


@settings(deadline=None)
@given(random_bpe(), st.randoms(), st.lists(st.text(LETTERS.replace("▁", " ") + "e", max_size=12), max_size=10))
def test_in_whatever_order_they_go_all_others_stay_reachable(
    tokenizer: TokenizerJson, rng: random.Random, texts: list[str]
) -> None:
    """And a text that holds none of those that went is encoded as before."""
    making = Making.of(tokenizer)
    staying = rng.sample(sorted(everything(making)), k=rng.randint(0, 4))
    leaves, gone = Leaves(making, staying), list[int]()
    while (now := leaves.now) and rng.random() < 0.9:
        some = rng.sample(now, k=rng.randint(1, len(now)))
        leaves.take(some)
        gone += some
    target = without(tokenizer, gone)
    out = {tokenizer.tokens[i] for i in gone}
    assert out.isdisjoint(tokenizer.tokens[i] for i in making.needed(staying))
    assert reached(tokenizer) - out <= reached(target)
    for before, after in zip(ids(tokenizer, texts), ids(target, texts), strict=True):
        if set(gone).isdisjoint(before):
            assert after == before
        assert not {target.tokens[i] for i in after} & out


@settings(deadline=None)
@given(random_bpe())
def test_all_that_stays_out_is_needed_by_what_stays(tokenizer: TokenizerJson) -> None:
    """With nothing to stay all tokens go in the end; one token keeps what it is made of, and no more."""
    making = Making.of(tokenizer)
    for staying in ([], sorted(making.parts)[:1]):
        leaves, gone = Leaves(making, staying), set[int]()
        while now := leaves.now:
            leaves.take(now)
            gone.update(now)
        assert everything(making) - gone == making.needed(staying) & everything(making)


def test_a_token_that_another_is_made_of_may_not_go() -> None:
    tokenizer = sentencepiece_style(["a", "b", "c", "ab", "abc", "bc"], [["a", "b"], ["ab", "c"], ["b", "c"]])
    text_of = tokenizer.text_of
    making = Making.of(tokenizer)
    leaves = Leaves(making, [])
    of = {text_of[i] for i in leaves.now}
    assert {"abc", "bc"} <= of
    assert not {"a", "b", "c", "ab"} & of
    leaves.take([tokenizer.ids["abc"]])
    assert "ab" in {text_of[i] for i in leaves.now}
    with pytest.raises(KeyError):
        leaves.take([tokenizer.ids["a"]])


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2"])
def test_real_bases(name: str, data: Path, byte_level: Callable[[str], TokenizerJson]) -> None:
    """A quarter of all tokens at random, and all others are still reached."""
    tokenizer = load_tokenizer(data / "tokenizers" / name) if name == "mistral_v1" else byte_level(name)
    making = Making.of(tokenizer)
    before = reached(tokenizer)
    added = {token.content for token in tokenizer.added_tokens}
    assert {tokenizer.text_of[i] for i in (*making.parts, *making.atoms)} - added == before - added
    rng, leaves, gone = random.Random(0), Leaves(making, making.atoms), list[int]()
    while len(gone) < tokenizer.size // 4:
        some = rng.sample(leaves.now, k=min(len(leaves.now), 500))
        leaves.take(some)
        gone += some
    target = without(tokenizer, gone)
    assert before - {tokenizer.text_of[i] for i in gone} - added <= reached(target)
