"""The rule of the bias against its formula, worked out passage by passage."""

import numpy as np
import pytest

from kovocab.errors import UsageError
from kovocab.favouring.rates import Bias, Rates, by_need
from support.documents import passages_of, rates_of, zipf

OLD, NEW = 20, 40


def deciding(passages, order):
    """The place in `order` of the first new token of it that is in each passage."""
    place = {OLD + int(token): at for at, token in enumerate(order)}
    return [min((place[token] for token in passage if token >= OLD), default=NEW) for passage in passages]


def made(seed, most=4):
    passages = passages_of(zipf(seed, 120, OLD, NEW), 10)
    counts = np.bincount([token for passage in passages for token in passage], minlength=OLD + NEW)[OLD:]
    kinds = deciding(passages, by_need(counts))
    tokens = np.bincount(kinds, weights=[len(passage) for passage in passages], minlength=NEW + 1).astype(int)
    return passages, counts, kinds, Rates(counts, tokens, most)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("passes", [0.1, 0.7, 1.0, 2.3])
def test_rates_are_those_of_the_formula(seed, passes):
    passages, _, kinds, rates = made(seed)
    budget = int(passes * sum(map(len, passages)))
    for min_seen in (1, 2, 5, 20):
        slow, fast = rates_of(passages, OLD, min_seen, 4, budget), rates.at(min_seen, budget)
        assert (slow is None) == (fast is None)
        if fast is not None:
            assert fast[kinds] == pytest.approx(slow, rel=1e-9)
            assert sum(fast[kinds] * [len(passage) for passage in passages]) == pytest.approx(budget)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_largest_is_the_largest(seed, share):
    passages, counts, _, rates = made(seed)
    budget = sum(map(len, passages))
    largest = rates.largest(budget, share)
    least = (1 - share) * budget / rates.total
    assert rates.at(largest, budget)[-1] >= least * (1 - 1e-12)
    beyond = rates.at(largest + 1, budget)
    assert beyond is None or beyond[-1] < least or largest >= rates.most * counts.max()


def test_a_weight_is_a_token_that_is_to_be_seen_more_often():
    counts = np.array([10, 10, 0])
    tokens = np.array([50, 50, 0, 900])
    assert by_need(counts, np.array([1.0, 2.0, 9.0])).tolist() == [1, 0, 2]
    rate = Rates(counts, tokens, 4, np.array([1.0, 2.0, 9.0])).at(15, 1000)
    assert rate[:2].tolist() == [3.0, 1.5]  # the second token first: 15 · 2 / 10
    assert rate[:2] @ [50, 50] + rate[-1] * 900 == pytest.approx(1000)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"min_seen": 0}, "min_seen is 0"),
        ({"max_passes": 0}, "max_passes is 0"),
        ({"share": 0.0}, "share is 0.0"),
        ({"share": 1.0}, "share is 1.0"),
        ({"passage": 0}, "passage is 0"),
        ({"tokens": 0}, "tokens is 0"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(UsageError, match=f"data.bias: {says}; wanted"):
        Bias(**settings)
