"""Memory: sizes as people write them, and what the machine has."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.errors import UsageError
from kovocab.machine import memory


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("4GB", 4_000_000_000), ("4 GB", 4_000_000_000), (" 4gb ", 4_000_000_000), ("512MiB", 512 << 20),
        ("1.5GiB", 3 << 29), ("600mib", 600 << 20), ("1TB", 10**12), ("1TiB", 1 << 40), ("700000KB", 700_000_000),
        (4_000_000_000, 4_000_000_000), ("4000000000", 4_000_000_000), (512 << 20, 512 << 20),
    ],
)  # fmt: skip
def test_sizes(said: str | int, size: int) -> None:
    assert memory.bound(said) == size


@pytest.mark.parametrize(
    "said", ["", "5XB", "GB", "-4GB", -5, "4 G", "4GBs", "1e9", "4,0GB", "half", "50%", "nan", "inf", "4GB 4GB", "0x9"]
)
def test_what_is_no_size(said: str | int) -> None:
    with pytest.raises(UsageError, match=re.escape(f"memory is {said!r}; wanted bytes, or a size such as 4GB or")):
        memory.bound(said)


@pytest.mark.parametrize("said", ["0", 0, "1MB", "511MiB", "512MB", (512 << 20) - 1])
def test_less_than_the_least(said: str | int) -> None:
    with pytest.raises(UsageError, match=f"memory is {said}; wanted at least 512MiB"):
        memory.bound(said)


@given(size=st.integers(512 << 20, 1 << 53))
def test_bytes_are_themselves(size: int) -> None:
    assert memory.bound(size) == memory.bound(str(size)) == size


def test_without_a_size_it_is_half_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.bound(None) == max(memory.LEAST, memory.total() // 2)
    monkeypatch.setattr(memory, "total", lambda: 1 << 20)
    assert memory.bound(None) == memory.LEAST


def test_what_is_used_follows_what_is_held() -> None:
    before = memory.used()
    held = bytearray(b"x") * (200 << 20)
    assert 190 << 20 < memory.used() - before < 260 << 20
    assert memory.peak() >= before + (190 << 20)
    assert memory.used() <= memory.total()
    del held
