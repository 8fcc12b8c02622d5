"""Rows of a head, whole or in blocks: their logits, and the sums of their gradients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kovocab.expanding.logits import LogitForm
from kovocab.expanding.split_rows import SplitLinear

Blocks = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]
"""Old and new weight, old and new bias; without the new ones, new tokens have no logits."""


def stays(trains: bool, dtype: torch.dtype) -> bool:
    """Whether the logits of rows have to stay until their softmax is known.

    So it is where a gradient of them is asked for; and in fp16, whose products with exponentials that are no shares yet
    may pass 65,504.
    """
    return trains or dtype == torch.float16


@dataclass(frozen=True)
class Rows:
    """Rows of a head from `first` on: weight and bias, and where the gradients of what trains are summed (fp32)."""

    first: int
    weight: Tensor
    bias: Tensor | None = None
    sum_weight: Tensor | None = None
    sum_bias: Tensor | None = None

    @property
    def stay(self) -> bool:
        """See `stays`."""
        return stays(self.sum_weight is not None or self.sum_bias is not None, self.weight.dtype)

    def blocks(self, most: int) -> Iterator["Rows"]:
        """The same in blocks of at most so many rows."""
        for start in range(0, len(self.weight), most):
            cut, others = slice(start, start + most), (self.bias, self.sum_weight, self.sum_bias)
            yield Rows(self.first + start, self.weight[cut], *(None if t is None else t[cut] for t in others))

    def logits(self, x: Tensor, form: LogitForm) -> Tensor:
        """`[positions, rows]`, fp32, rounded as the dtype of the product rounds them."""
        return form.apply_(functional.linear(x, self.weight, self.bias)).float()

    def add_gradients(self, grad_logits: Tensor, x: Tensor, grad_x: Tensor | None) -> None:
        """Add to the sums, and to the gradient of `x` (fp32), what `grad_logits` makes of them."""
        if self.sum_bias is not None:
            self.sum_bias.add_(grad_logits.sum(dim=0))
        grad_logits = grad_logits.to(x.dtype)
        if grad_x is not None:
            _add_product(grad_x, grad_logits, self.weight)
        if self.sum_weight is not None:
            _add_product(self.sum_weight, grad_logits.T, x)


def blocks_of(head: SplitLinear, old_vocab: bool = False) -> Blocks:
    """Of a head, or of its old tokens alone."""
    if old_vocab:
        return head.output_old, None, head.output_old_bias, None
    return head.output_old, head.output_new, head.output_old_bias, head.output_new_bias


def cast(blocks: Blocks, hidden: Tensor) -> Blocks:
    """The blocks in the dtype that autocast would multiply in, once and not once a piece."""
    device = hidden.device.type
    if not torch.is_autocast_enabled(device):
        return blocks
    dtype = torch.get_autocast_dtype(device)
    old, *others = blocks
    new, old_bias, new_bias = (None if block is None else block.to(dtype) for block in others)
    return old.to(dtype), new, old_bias, new_bias


def halves_of(blocks: Blocks, labels: Tensor, sums: Sequence[Tensor | None] = (None,) * 4) -> list[Rows]:
    """Old rows, and new ones if they have logits. A label that is none of theirs is refused, as `gather` refuses it."""
    old, new, old_bias, new_bias = blocks
    halves = [Rows(0, old, old_bias, sums[0], sums[2])]
    if new is not None and len(new):
        halves.append(Rows(len(old), new, new_bias, sums[1], sums[3]))
    labels.new_zeros(1).expand(count(halves)).gather(0, labels)
    return halves


def count(halves: list[Rows]) -> int:
    """How many rows there are in all."""
    return sum(len(half.weight) for half in halves)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """`total += left @ right`, in place where the dtypes allow it; `total` is fp32."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
