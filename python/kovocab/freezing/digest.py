"""A digest of a tensor's bits that needs no copy of it: to tell whether a parameter moved.

A sum of 32-bit words, each times a 64-bit number of its position, modulo 2^64: exact integers, the same on
every device, one pass (blake2b would copy all to the CPU). The numbers are odd, so a change of a single word
always shows; of several, it is missed with a chance of 2^-32 at worst (two that differ in the top bit alone).
"""

import zlib

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

PIECE = 1 << 17
"""Words of a piece, after which the numbers of the positions begin again."""

TOGETHER = {"cpu": 1, "cuda": 64}
"""Pieces at a time: on a CPU what its cache holds; on a GPU, to which each call is dear, 100 MB of extra memory."""


@torch.no_grad()
def digest(tensor: Tensor) -> int:
    """The digest of the bits of `tensor`, any dtype and device; of the local shard, where it is sharded.

    A weight that bitsandbytes holds in 4 bits is what is packed together with the constants that unpack it.
    """
    total = _digest(tensor)
    state = getattr(tensor, "quant_state", None)
    for name, constant in sorted(state.as_dict(packed=True).items()) if state is not None else ():
        total = (total * _ODD + zlib.crc32(name.encode()) + _digest(constant)) % (1 << 64)
    return total


def _digest(tensor: Tensor) -> int:
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    words = _words(local.detach())
    numbers = _numbers(min(PIECE, max(1, words.numel())), words.device)
    whole = words.numel() // PIECE
    pieces, last = words[: whole * PIECE].view(whole, PIECE), words[whole * PIECE :]
    total = torch.tensor(local.numel(), dtype=torch.int64, device=words.device)
    together = TOGETHER.get(words.device.type, 1)
    powers = torch.full((together + 1,), _ODD, dtype=torch.int64, device=words.device)
    powers[-1] = 1
    powers = powers.flip(0).cumprod(0).flip(0)  # the last is 1
    for start in range(0, whole, together):
        found = (pieces[start : start + together] * numbers).sum(dim=1)
        # As if piece by piece: total = total * _ODD + found.
        total = total * powers[-1 - len(found)] + (found * powers[-len(found) :]).sum()
    if last.numel():
        total = total * _ODD + (last * numbers[: last.numel()]).sum()
    return int(total.item())


_ODD = 0x2545F4914F6CDD1D


def _numbers(count: int, device: torch.device) -> Tensor:
    """Odd, well mixed numbers of the positions 0 to count - 1 (the finaliser of splitmix64), int64."""
    mixed = torch.arange(1, count + 1, dtype=torch.int64, device=device) * -0x61C8864680B583EB
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        # int64 shifts keep the sign; the mask makes the shift logical.
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return mixed | 1


def _words(tensor: Tensor) -> Tensor:
    """The bits as int32 words, a view where size and offset allow it; the end is filled with zeros."""
    data = tensor.contiguous().reshape(-1).view(torch.uint8)
    rest = -data.numel() % 4
    if rest:
        data = torch.cat([data, data.new_zeros(rest)])
    elif data.storage_offset() % 4:
        data = data.clone()
    return data.view(torch.int32)
