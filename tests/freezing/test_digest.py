"""A digest tells any two tensors apart that differ in a bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.freezing.digest import digest

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
    tensor = torch.randint(-128, 128, (300_001 * dtype.itemsize,), dtype=torch.int8).view(dtype)
    assert digest(tensor.cuda()) == digest(tensor)


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
