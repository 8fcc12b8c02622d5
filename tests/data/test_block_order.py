"""The order of blocks against slow, obvious twins: shares, any range of it, all of a source before any of it again."""

import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from kovocab.data.block_order import HeldOutOrder, Schedule, TrainOrder

CARDS = [83.46, 10.69, 5.86]


def positions(schedule, start, stop):
    return list(zip(*(part.tolist() for part in schedule.positions(start, stop)), strict=True))


@pytest.mark.parametrize("weights", [[1.0], [0.8346, 0.1069, 0.0586], [1, 1, 1, 1], [1000, 1], [3, 1e-4, 2]])
def test_every_prefix_holds_the_shares_to_about_a_block(weights):
    total = 30_000
    slow = sorted(((k + 0.5) / (w / sum(weights)), s, k) for s, w in enumerate(weights) for k in range(total))[:total]
    schedule = Schedule(weights)
    assert positions(schedule, 0, total) == [(s, k) for _, s, k in slow]
    for start, stop in ((0, 1), (17, 18), (4096, 4200), (29_990, 30_000), (5, 5)):
        assert positions(schedule, start, stop) == [(s, k) for _, s, k in slow[start:stop]]
    served = np.zeros(len(weights))
    for position, (_, s, _) in enumerate(slow, start=1):
        served[s] += 1
        if position % 997 < 3 or position < 20:
            assert schedule.served(position) == served.tolist()
        assert np.abs(served - position * schedule.weights).max() <= max(1, len(weights) / 2)


@pytest.mark.parametrize("weights", [[0.8346, 0.1069, 0.0586], [1, 1, 1], [1000, 1], [3, 1e-4, 2]])
@pytest.mark.parametrize("start", [10**10 - 3, 10**10 + 123_457, 10**12])
def test_far_positions_are_exact(weights, start):
    """Against exact fractions: 10 B blocks need no memory, and lose nothing to rounding."""
    schedule, stop = Schedule(weights), start + 200
    shares = [Fraction(share) for share in schedule.weights.tolist()]
    firsts = [max(0, int(share * (start - 10))) for share in shares]
    lasts = [int(share * (stop + 10)) + 2 for share in shares]
    near = sorted(
        ((k + Fraction(1, 2)) / share, s, k)
        for s, (share, first, last) in enumerate(zip(shares, firsts, lasts, strict=True))
        for k in range(first, last)
    )
    begin = start - sum(firsts)  # all before `firsts` are before them
    wanted = [(s, k) for _, s, k in near[begin : begin + 200]]
    assert positions(schedule, start, stop) == wanted
    served = [first + sum(s == each for _, s, _ in near[:begin]) for each, first in enumerate(firsts)]
    assert schedule.served(start) == served
    assert sum(served) == start


def test_ten_billion_blocks_are_served_from_anywhere_at_once():
    order = TrainOrder([8 * 10**9, 10**9, 5 * 10**8], CARDS, ["web", "other", "pairs"], seed=0)
    list(order(0, 1))
    tracemalloc.start()
    begun = time.process_time()
    blocks = list(order(10**10, 10**10 + 20_000))
    taken = time.process_time() - begun
    served = order.served(0, 10**10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert taken < 5
    assert sum(served) == 10**10
    shares = [weight / sum(CARDS) for weight in CARDS]
    assert [count / 10**10 for count in served] == pytest.approx(shares, abs=1e-9)
    assert blocks[12_345:12_400] == list(order(10**10 + 12_345, 10**10 + 12_400))
    assert max(block for source, block in blocks if source == 0) < 8 * 10**9


def test_the_cards_shares_are_met_by_every_run_of_more_than_a_few_hundred_blocks():
    schedule = Schedule(CARDS)
    sources, _ = schedule.positions(0, 1_000_000)
    served = np.cumsum(np.eye(3, dtype=np.int64)[sources], axis=0)
    blocks = np.arange(1, 1_000_001)[:, None]
    off = np.abs(served - blocks * schedule.weights)
    assert off.max() < 0.88
    assert (off / blocks)[827:].max() < 0.001


def test_the_cards_shares_are_met_within_a_tenth_of_a_percent_wherever_a_stage_begins():
    order = TrainOrder([700, 90, 40], CARDS, ["web", "other", "pairs"], seed=0)
    shares = [weight / sum(CARDS) for weight in CARDS]
    for start, stop in ((0, 1500), (12_345, 14_000), (0, 30_000)):
        served = order.served(start, stop)
        assert served == [sum(s == each for s, _ in order(start, stop)) for each in range(3)]
        assert [count / (stop - start) for count in served] == pytest.approx(shares, abs=1e-3)


def test_a_source_is_used_up_before_a_block_comes_again():
    order = list(TrainOrder([7, 5], [0.5, 0.5], ["a", "b"], seed=3)(0, 70))
    for source, size in ((0, 7), (1, 5)):
        blocks = [block for s, block in order if s == source]
        epochs = [blocks[i : i + size] for i in range(0, 35, size)]
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > 1
    assert order != list(TrainOrder([7, 5], [0.5, 0.5], ["a", "b"], seed=4)(0, 70))


def test_held_out_blocks_come_once_and_fill_up_all_ranks():
    order = HeldOutOrder([10, 3], world=4)
    assert order.blocks == 16
    addresses = list(order(0, 16))
    assert sorted(addresses[:13]) == [(s, b) for s, size in enumerate((10, 3)) for b in range(size)]
    assert addresses[13:] == addresses[:3]
    assert {s for s, _ in addresses[:4]} == {0, 1}
