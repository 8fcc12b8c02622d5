"""Python looks for cycles less often inside, and as before afterwards, whatever happened."""

import gc

import pytest

from kovocab.machine.garbage import seldom_collected


class Ring:
    def __init__(self) -> None:
        self.ring = self


def looks() -> int:
    """How often Python looked while 20,000 objects were made that only hold themselves."""
    before = sum(of["collections"] for of in gc.get_stats())
    for _ in range(20_000):
        Ring()
    return sum(of["collections"] for of in gc.get_stats()) - before


def test_python_looks_less_often_inside_and_as_before_afterwards() -> None:
    before, usual = gc.get_threshold(), looks()
    with seldom_collected():
        assert looks() < usual / 5
    assert gc.get_threshold() == before
    with pytest.raises(ValueError, match="stop"), seldom_collected():
        raise ValueError("stop")
    assert gc.get_threshold() == before
    assert gc.isenabled()
