"""Which tokens go: rare ones first, within the bound, and counted as `tokenizers` counts."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.counting.word_counts import Counted
from kovocab.replacing.choice import choose
from kovocab.replacing.cost import Cost, Text
from kovocab.replacing.order import Making
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.random_bpe import LETTERS, random_bpe, sentencepiece_style
from support.vocabularies import ids, tokenizer_of, words_of


def cost(tokenizer: TokenizerJson, words: dict[str, int], bound: float | None = None) -> Cost:
    text = Text("text", Counted(words_of(words), {"verb": "count"}), bound)
    return Cost(text, tokenizer, Making.of(tokenizer), HANGUL)


def tokens(tokenizer: TokenizerJson, words: dict[str, int]) -> int:
    """As `tokenizers` has it; words as word counts write them."""
    alone = tokenizer.model_alone()
    return sum(len(found) * n for found, n in zip(ids(alone, words), words.values(), strict=True))


def less(tokenizer: TokenizerJson, gone: list[int]) -> TokenizerJson:
    """The tokenizer without some tokens, all others at other ids."""
    out = {tokenizer.tokens[i] for i in gone}
    kept = [t for t in tokenizer.ids if t not in out and not t.startswith("<")]
    merges = [m for m in tokenizer.model.merges if out.isdisjoint((*m, "".join(m)))]  # type: ignore[union-attr]
    return sentencepiece_style(kept, [list(merge) for merge in merges])


WORDS = st.dictionaries(st.text(LETTERS, min_size=1, max_size=10), st.integers(1, 50), min_size=1, max_size=20)


@settings(deadline=None)
@given(random_bpe(), WORDS, st.sampled_from([0.0, 0.05, 0.5, 10.0]), st.integers(1, 20))
def test_the_bound_holds_as_tokenizers_counts(
    tokenizer: TokenizerJson, words: dict[str, int], bound: float, most: int
) -> None:
    looked = cost(tokenizer, words, bound)
    before = tokens(tokenizer, words)
    assert looked.before == before
    gone = choose(Making.of(tokenizer), [*range(258)], [looked], most)
    assert len(gone) == len(set(gone)) <= most
    after = tokens(less(tokenizer, gone), words)
    assert looked.tokens == after
    assert after - before <= bound * before
    if len(gone) < most:  # then the next one would break it, or there is none
        rest = Making.of(less(tokenizer, gone))
        used = {part for parts in rest.parts.values() for part in parts}
        left = [t for i, t in less(tokenizer, gone).tokens.items() if i >= 258 and i not in used]
        prices = [tokens(less(tokenizer, [*gone, tokenizer.ids[t]]), words) for t in left]
        assert not left or max(prices) - before > bound * before


@settings(deadline=None)
@given(random_bpe(), WORDS, st.integers(1, 8))
def test_what_goes_is_no_more_frequent_than_what_could_have_gone(
    tokenizer: TokenizerJson, words: dict[str, int], most: int
) -> None:
    """One at a time: each is a rarest leaf of the text encoded without those before it."""
    making = Making.of(tokenizer)
    gone: list[int] = []
    for _ in range(most):
        one = choose_one(tokenizer, words, gone)
        if one is None:
            break
        now = less(tokenizer, gone)
        counts: Counter[str] = Counter()
        for found, n in zip(ids(now.model_alone(), words), words.values(), strict=True):
            counts.update({now.tokens[i]: 0 for i in found})
            for i in found:
                counts[now.tokens[i]] += n
        spelled = {t: counts[t] for t in now.ids if not t.startswith("<")}
        rest = Making.of(now)
        used = {part for parts in rest.parts.values() for part in parts}
        leaves = [t for t in spelled if now.ids[t] not in used]
        if one not in making.unreachable:
            assert spelled[tokenizer.tokens[one]] == min(spelled[t] for t in leaves)
        gone.append(one)


def choose_one(tokenizer: TokenizerJson, words: dict[str, int], gone: list[int]) -> int | None:
    """The one that goes after some: `choose` takes half of what is to go at a time, so one of one is exact."""
    now = less(tokenizer, gone)
    found = choose(Making.of(now), [*range(258)], [cost(now, words)], 1)
    return tokenizer.ids[now.tokens[found[0]]] if found else None


def test_tokens_out_of_reach_go_first_and_what_stays_stays() -> None:
    made = ["a", "b", "c", "▁", "ab", "bc", "abab", "cab"]
    tokenizer = sentencepiece_style(made, [["a", "b"], ["b", "c"], ["ab", "ab"]])  # nothing makes cab
    words = {"▁abab": 5, "▁bc": 1}
    i, first = tokenizer.ids, range(258)
    assert choose(Making.of(tokenizer), first, [cost(tokenizer, words)], 2) == [i["cab"], i["bc"]]
    assert choose(Making.of(tokenizer), [*first, i["cab"], i["bc"]], [cost(tokenizer, words)], 1) == [i["abab"]]
    assert choose(Making.of(tokenizer), i.values(), [cost(tokenizer, words)], 3) == []
    assert choose(Making.of(tokenizer), range(258), [cost(tokenizer, words, 0.0)], 9) == [i["cab"]]


def test_texts_count_by_their_share_of_tokens() -> None:
    """A large text does not drown a small one: what is all of it goes last."""
    tokenizer = sentencepiece_style(["a", "b", "c", "d", "▁", "ab", "cd"], [["a", "b"], ["c", "d"]])
    large, small = {"ab": 600, "a": 100_000}, {"cd": 300}
    i = tokenizer.ids
    gone = choose(Making.of(tokenizer), range(258), [cost(tokenizer, large), cost(tokenizer, small)], 1)
    assert gone != [i["cd"]]
    both = choose(Making.of(tokenizer), range(263), [cost(tokenizer, large), cost(tokenizer, small)], 1)
    assert both == [i["ab"]]


def test_a_word_that_is_taken_whole_keeps_its_token() -> None:
    """With `ignore_merges` a token that no merge makes is emitted all the same."""
    from support.byte_level import split_by, tiny

    config = tiny(pre_tokenizer=split_by("\\s+|\\S+"))
    config["model"]["vocab"]["xyz"] = whole = len(config["model"]["vocab"])
    for takes in (True, False):
        config["model"]["ignore_merges"] = takes
        tokenizer = tokenizer_of(config)
        making = Making.of(tokenizer)
        assert whole in making.unreachable
        looked = cost(tokenizer, {"xyz": 3, "x": 1})
        assert looked.before == (4 if takes else 10)
        gone = choose(making, making.atoms, [looked], 1)
        assert (whole in gone) is not takes


def test_special_tokens_in_a_text_are_counted_as_one() -> None:
    tokenizer = sentencepiece_style(["a", "▁", "<", "/", "s", ">"], [])
    assert cost(tokenizer, {"</s>": 7, "a": 1}).before == 8


@pytest.mark.parametrize("seed", range(3))
def test_the_same_is_chosen_whatever_the_order_of_words(seed: int) -> None:
    tokenizer = sentencepiece_style(["a", "b", "c", "▁", "ab", "bc", "ca"], [["a", "b"], ["b", "c"], ["c", "a"]])
    words = [("abc", 3), ("bca", 2), ("cab", 5), ("aa", 1)]
    wanted = choose(Making.of(tokenizer), range(258), [cost(tokenizer, dict(words), 1.0)], 4)
    random.Random(seed).shuffle(words)
    assert choose(Making.of(tokenizer), range(258), [cost(tokenizer, dict(words), 1.0)], 4) == wanted
