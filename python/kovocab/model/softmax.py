"""A softmax over rows that come block by block, of which none has to stay: a running maximum and a running sum."""

import math

import torch
from torch import Tensor


class RunningSoftmax:
    """What is known of a softmax so far. Exponentials are taken below the greatest logit yet, so at most 1.

    What was summed with those before is to be multiplied by what `add_` returns, and by `shares` at the end.

    Args:
        labels: `[positions]`, int64: whose probability is asked for.
        ignored: Where none is, `[positions]`; the label there is that of no row.

    Attributes:
        greatest: The greatest logit so far, `[positions, 1]`, fp32.
        at_label: The logit at the label, once its block has come, `[positions, 1]`, fp32.
    """

    def __init__(self, labels: Tensor, ignored: Tensor) -> None:
        self._labels, self._ignored = labels.unsqueeze(-1), ignored.unsqueeze(-1)
        self._total = torch.zeros(self._labels.shape, dtype=torch.float32, device=labels.device)
        self.at_label = self._total
        # Not minus infinity, from which a first block of such logits would not differ by a number.
        self.greatest = torch.full_like(self._total, torch.finfo(torch.float32).min)

    def add_(self, logits: Tensor, first: int) -> Tensor:
        """Take the logits of the rows from `first` on, `[positions, rows]`, fp32; the factor of what was before.

        They are overwritten by their exponentials, with 0 at the label: the gradient there is a small difference
        (`label_gradient`), which no product in bf16 is to round.
        """
        row, here = self.find(first, logits.shape[-1])
        self.at_label = torch.where(here, logits.gather(-1, row), self.at_label)
        greatest = torch.maximum(self.greatest, logits.amax(dim=-1, keepdim=True))
        factor = (self.greatest - greatest).exp_()
        exponentials = _exp_(logits.sub_(greatest))
        self._total = self._total * factor + exponentials.sum(dim=-1, keepdim=True)
        self.greatest = greatest
        exponentials.scatter_add_(-1, row, torch.where(here, -exponentials.gather(-1, row), 0.0))
        return factor

    def find(self, first: int, rows: int) -> tuple[Tensor, Tensor]:
        """Where the labels are among so many rows from `first` on, and which are there: both `[positions, 1]`."""
        row = self._labels - first
        return row.clamp(0, rows - 1), (row >= 0) & (row < rows)

    @property
    def losses(self) -> Tensor:
        """-log softmax at the labels: `[positions]`, 0 where ignored."""
        return (self.greatest - self.at_label + self._total.log()).masked_fill(self._ignored, 0.0).squeeze(-1)

    @property
    def shares(self) -> Tensor:
        """What makes exponentials below `greatest` a softmax: `[positions, 1]`, 0 where ignored."""
        return self._total.reciprocal().masked_fill(self._ignored, 0.0)

    @property
    def label_gradient(self) -> Tensor:
        """The gradient of the loss by the logit at the label: `[positions, 1]`, 0 where ignored."""
        return ((self.at_label - self.greatest).exp_() * self.shares - 1).masked_fill(self._ignored, 0.0)

    def gradient_(self, exponentials: Tensor, greatest: Tensor, first: int) -> Tensor:
        """The gradient of the loss by the logits of a block whose `exponentials`, overwritten, are below `greatest`."""
        row, here = self.find(first, exponentials.shape[-1])
        gradient = exponentials.mul_((greatest - self.greatest).exp_().mul_(self.shares))
        return gradient.scatter_add_(-1, row, torch.where(here, self.label_gradient, 0.0))


def _exp_(values: Tensor) -> Tensor:
    """On a CPU torch hands `exp` to MKL, which takes 2.5 times as long on AMD's as `exp2` and its factor."""
    return values.mul_(math.log2(math.e)).exp2_() if values.device.type == "cpu" else values.exp_()
