"""The shuffle by index: one to one, like chance, the same everywhere."""

import hashlib
import struct
import time
from math import isqrt, sqrt

import numpy as np
import pytest

from kovocab.data.bijection import MOST, ROUNDS, Bijection


def shuffled(n, key="key"):
    return Bijection(n, key)(np.arange(n))


@pytest.mark.parametrize("sizes", [range(1, 400), [1023, 1024, 1025, 4096, 65_535, 65_537, 1_000_003]], ids=str)
def test_each_number_comes_once(sizes):
    for n in sizes:
        assert np.array_equal(np.sort(shuffled(n)), np.arange(n))


def test_any_part_is_computed_by_itself():
    whole, bijection = shuffled(10_007), Bijection(10_007, "key")
    for start, stop in ((0, 1), (17, 18), (9_000, 10_007), (5, 5)):
        assert np.array_equal(bijection(np.arange(start, stop)), whole[start:stop])


@pytest.mark.parametrize("n", [2, 3, 5, 6, 9, 10, 16])
def test_over_many_keys_each_number_goes_everywhere_alike(n):
    keys = 2000
    counts, distances = np.zeros((n, n)), np.zeros(n)
    for key in range(keys):
        to = shuffled(n, str(key))
        counts[np.arange(n), to] += 1
        np.add.at(distances, (to[1:] - to[:-1]) % n, 1)
    wanted = keys / n
    # A chi-square of d degrees of freedom is d to within a few √(2d).
    assert ((counts - wanted) ** 2 / wanted).sum() < (n - 1) ** 2 + 5 * sqrt(2) * (n - 1)
    # Neighbours are as far apart as chance puts them: each distance as often.
    wanted = distances[1:].mean()
    assert ((distances[1:] - wanted) ** 2 / wanted).sum() < n + 5 * sqrt(2 * n)


@pytest.mark.parametrize("n", [10_000, 1_000_000])
def test_neighbours_know_nothing_of_each_other(n):
    to = shuffled(n)
    for one, other in ((to[1:], to[:-1]), (to[64:], to[:-64]), (to, np.arange(n)), (to, shuffled(n, "another"))):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / sqrt(n)
    # Each tenth of the way is spread over all: a chi-square of 9 times 9 degrees of freedom.
    counts = np.histogram2d(np.arange(n), to, bins=10)[0]
    assert ((counts - n / 100) ** 2 / (n / 100)).sum() < 81 + 5 * sqrt(162)


def slow(n, key, index):
    """The twin in Python's own integers."""
    rows = isqrt(n - 1) + 1
    sizes = rows, -(-n // rows)
    keys = struct.unpack(f"<{ROUNDS}Q", hashlib.shake_256(key.encode()).digest(8 * ROUNDS))
    while True:
        place = list(divmod(index, sizes[1]))
        for number, key_of_round in enumerate(keys):
            turned = number % 2
            mixed = key_of_round ^ place[1 - turned]
            for factor, shift in ((0xBF58476D1CE4E5B9, 30), (0x94D049BB133111EB, 27)):
                mixed = (mixed ^ mixed >> shift) * factor % 2**64
            place[turned] = (place[turned] + ((mixed >> 32) * sizes[turned] >> 32)) % sizes[turned]
        index = place[0] * sizes[1] + place[1]
        if index < n:
            return index


@pytest.mark.parametrize("n", [1, 2, 7, 9, 1000, 10**6 + 3, 10**10, MOST])
def test_it_is_what_the_slow_way_gives(n):
    indices = [index % n for index in (*range(50), n // 2, n - 2, n - 1)]
    for key in ("key", "다른 열쇠"):
        assert Bijection(n, key)(np.array(indices)).tolist() == [slow(n, key, index) for index in indices]


def test_it_is_the_same_on_every_machine_and_in_every_version():
    """Written down: an order that changes would break the runs that go on in it."""
    assert shuffled(10).tolist() == [8, 7, 1, 9, 3, 5, 2, 6, 4, 0]
    assert Bijection(10**10, "0 0 web")(np.array([0, 1, 10**10 - 1])).tolist() == [9597691117, 986588828, 9499139015]
    assert Bijection(MOST, "key")(np.array([0, MOST - 1])).tolist() == [545556420118594184, 812778105675396366]


def test_ten_billion_take_no_memory_and_little_time():
    bijection, start = Bijection(10**10, "key"), time.process_time()
    places = bijection(np.arange(10**10 - 1_000_000, 10**10))
    assert time.process_time() - start < 2  # a fifth of a second; a permutation of 10 B would take 80 GB
    assert len(np.unique(places)) == 1_000_000
    assert places.min() >= 0
    assert places.max() < 10**10


@pytest.mark.parametrize("n", [0, -1, MOST + 1])
def test_what_it_is_not_for(n):
    with pytest.raises(ValueError, match=f"n is {n}; wanted 1 to"):
        Bijection(n, "key")
