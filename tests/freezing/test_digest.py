"""A digest tells any two tensors apart that differ in a bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.freezing import digest as digests
from kovocab.freezing.digest import digest

KNOWN = 6354335686437592753
"""What the digest of some numbers always was: checkpoints hold digests."""
TYPES = [torch.float32, torch.bfloat16, torch.float64, torch.int8]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(TYPES), count=st.integers(1, 70))
def test_a_digest_changes_with_any_bit(data, dtype, count):
    flat = torch.randint(-128, 128, (count * dtype.itemsize,), dtype=torch.int8)
    tensor = flat.view(dtype)
    before = digest(tensor)
    assert before == digest(tensor.clone())
    position, bit = data.draw(st.integers(0, len(flat) - 1)), data.draw(st.integers(0, 7))
    flat[position] ^= (1 << bit) - 256 * (bit == 7)
    assert digest(tensor) != before
    flat[position] ^= (1 << bit) - 256 * (bit == 7)
    other = data.draw(st.integers(0, len(flat) - 1))
    flat[position], flat[other] = flat[other].item(), flat[position].item()
    assert (digest(tensor) == before) == (flat[position] == flat[other])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", TYPES)
def test_a_digest_is_the_same_on_a_gpu(dtype):
    tensor = torch.randint(-128, 128, (9_000_001 * dtype.itemsize,), dtype=torch.int8).view(dtype)
    assert digest(tensor.cuda()) == digest(tensor)


@pytest.mark.parametrize("together", [2, 3, 64])
def test_a_digest_is_the_same_however_many_pieces_are_looked_at_together(monkeypatch, together):
    lengths = [0, 1, digests.PIECE, 5 * digests.PIECE, 7 * digests.PIECE + 3]
    tensors = [torch.randint(-128, 128, (4 * n,), dtype=torch.int8).view(torch.int32) for n in lengths]
    before = [digest(tensor) for tensor in tensors]
    monkeypatch.setitem(digests.TOGETHER, "cpu", together)
    assert [digest(tensor) for tensor in tensors] == before
    # What a checkpoint of an earlier version holds.
    assert digest(torch.arange(3 * digests.PIECE + 5, dtype=torch.int32)) == KNOWN


def test_a_digest_of_views_and_of_long_tensors():
    long = torch.randn(300_000)
    swapped = long.clone()
    swapped[[5, 131_077]] = long[[131_077, 5]]  # the same place in two pieces
    assert digest(long) != digest(swapped)
    odd = torch.randn(9, 7).bfloat16()
    assert digest(odd[1:].T) == digest(odd[1:].T.clone())
    assert digest(torch.zeros(3)) != digest(torch.zeros(4))
    signs = torch.ones(8)
    flipped = torch.tensor([-1.0, -1, 1, 1, 1, 1, 1, 1])
    assert digest(signs) != digest(flipped)
