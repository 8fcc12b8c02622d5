"""Cross entropy over two blocks of output rows, in pieces: the logits are never held all at once.

8,192 positions times 40,960 tokens are 1.3 GB of fp32 logits and as much again for their gradient. Here a
piece of positions is taken through logits, loss and gradient before the next, and a gradient is made only for
what trains: with a frozen body and frozen old rows (stage 2) the old rows' half is a log-sum-exp and no more.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from kovocab.expanding.logits import PLAIN, LogitForm
from kovocab.expanding.split_rows import SplitLinear

IGNORE = -100
"""The label of a position without loss, as everywhere in torch and transformers."""

PIECE_LOGITS = 1 << 24
"""Most logits of a piece: 64 MiB in fp32, 409 positions of 40,960 tokens."""

_NO_GRADIENT = (None,) * 4  # labels, piece, grad_enabled, form

Blocks = tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]
"""Old and new weight, old and new bias; without the new ones, new tokens have no logits."""


def cross_entropy(
    hidden: Tensor,
    head: SplitLinear,
    labels: Tensor,
    *,
    form: LogitForm = PLAIN,
    old_vocab: bool = False,
    piece: int | None = None,
) -> Tensor:
    """The mean over labels of -log softmax(head(hidden))[label]: a scalar, fp32.

    The value is computed in fp32 from the logits in the dtype that `head(hidden)` would have (bf16 under
    autocast), and gradients are summed in fp32, so only the products round. It is 0 if no label counts.
    What `form` says is done in the logits' dtype, as the model does it; its gradient is taken in fp32.

    Args:
        hidden: `[positions, hidden]`.
        head: The output embeddings.
        labels: `[positions]`, int64; `IGNORE` where there is no loss.
        form: How the logits come from `head(hidden)`.
        old_vocab: The softmax is over old tokens alone, and so are the labels; no logit of a new one is computed.
        piece: Positions at a time; by default what gives at most `PIECE_LOGITS` logits.
    """
    blocks = _blocks(head, old_vocab)
    total: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        form.states(hidden), labels, piece or _piece(blocks, len(labels)), torch.is_grad_enabled(), form, *blocks
    )
    return total / (labels != IGNORE).sum().clamp(min=1)


@torch.no_grad()
def token_losses(
    hidden: Tensor, head: SplitLinear, labels: Tensor, *, form: LogitForm = PLAIN, piece: int | None = None
) -> Tensor:
    """The loss of each position, without gradient: `[positions]`, fp32, 0 where the label is `IGNORE`."""
    hidden = form.states(hidden)
    blocks = _cast(_blocks(head), hidden)
    size = piece or _piece(blocks, len(labels))
    found = torch.empty(len(labels), dtype=torch.float32, device=hidden.device)
    with torch.autocast(hidden.device.type, enabled=False):
        for start in range(0, len(labels), size):
            x, y = _piece_of(hidden, labels, start, size, blocks)
            found[start : start + size] = _losses(_logits(x, blocks, form), y)[0]
    return found


class _CrossEntropy(torch.autograd.Function):
    """The sum of the losses. Gradients are made in the forward pass, where the logits are; scaled later."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        labels: Tensor,
        piece: int,
        grad_enabled: bool,
        form: LogitForm,
        *parameters: Any,
    ) -> Tensor:
        needs = [grad_enabled and needed for needed in ctx.needs_input_grad]
        need_hidden, need_blocks = needs[0], needs[5:]
        blocks = _cast(parameters, hidden)
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        sums = [
            torch.zeros_like(block, dtype=torch.float32) if block is not None and needed else None
            for block, needed in zip(blocks, need_blocks, strict=True)
        ]
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(labels), piece):
                x, y = _piece_of(hidden, labels, start, piece, blocks)
                logits = _logits(x, blocks, form)
                # Of a half that needs no gradient, nobody asks for them.
                slopes = [
                    form.slopes(half) if need_hidden or any(needed) else None
                    for half, needed in zip(logits, (need_blocks[::2], need_blocks[1::2]), strict=False)
                ]
                losses, shares = _losses(logits, y)
                total += losses.sum()
                grad_x = _add_gradients(logits, shares, slopes, x, y, blocks, sums, need_hidden)
                if grad_hidden is not None and grad_x is not None:
                    grad_hidden[start : start + piece] = grad_x
                del logits, slopes  # or the next piece's would be held beside them
        ctx.grads = [grad_hidden, *_NO_GRADIENT, *sums]
        ctx.dtypes = [None if p is None else p.dtype for p in (hidden, *_NO_GRADIENT, *parameters)]
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.grads is None:
            raise RuntimeError("backward a second time through a loss whose gradients are used up")
        grads, ctx.grads = ctx.grads, None
        return tuple(
            None if grad is None else grad.mul_(grad_total).to(dtype)
            for grad, dtype in zip(grads, ctx.dtypes, strict=True)
        )


def _blocks(head: SplitLinear, old_vocab: bool = False) -> Blocks:
    if old_vocab:
        return head.output_old, None, head.output_old_bias, None
    return head.output_old, head.output_new, head.output_old_bias, head.output_new_bias


def _piece(blocks: Blocks, positions: int) -> int:
    """Positions at a time: pieces of one size, since a small last one would multiply slowly."""
    most = max(1, PIECE_LOGITS // sum(weight.shape[0] for weight in blocks[:2] if weight is not None))
    pieces = max(1, math.ceil(positions / most))
    return max(1, math.ceil(positions / pieces))


def _cast(blocks: Blocks, hidden: Tensor) -> Blocks:
    """The blocks in the dtype that autocast would multiply in, once and not once a piece."""
    device = hidden.device.type
    if not torch.is_autocast_enabled(device):
        return blocks
    dtype = torch.get_autocast_dtype(device)
    old, *others = blocks
    new, old_bias, new_bias = (None if block is None else block.to(dtype) for block in others)
    return old.to(dtype), new, old_bias, new_bias


def _logits(x: Tensor, blocks: Blocks, form: LogitForm) -> list[Tensor]:
    """The logits of old tokens, and of new ones if they have any."""
    halves = zip(blocks[:2], blocks[2:], strict=True)
    return [form.apply_(functional.linear(x, weight, bias)).float() for weight, bias in halves if weight is not None]


def _piece_of(hidden: Tensor, labels: Tensor, start: int, size: int, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Hidden states and labels from `start` on. Where no loss is the states are 0, so nothing of them can spread."""
    y = labels[start : start + size]
    x = hidden[start : start + size].to(blocks[0].dtype)
    return x.masked_fill((y == IGNORE).unsqueeze(-1), 0.0), y


def _losses(logits: list[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of each position, and what makes its `logits` a softmax: both `[positions]`, 0 where ignored.

    The logits are overwritten by their exponentials (below the greatest of the position, so at most 1): a softmax
    is those times the second result, and no exponential is taken twice.
    """
    old, *new = logits
    rows = old.shape[-1]
    # Without new logits a new label is out of range, which gather refuses.
    at_label = old.gather(-1, labels.clamp(0, rows - 1 if new else None).unsqueeze(-1)).squeeze(-1)
    greatest = old.amax(dim=-1)
    for half in new:
        at_new = half.gather(-1, (labels - rows).clamp(min=0).unsqueeze(-1)).squeeze(-1)
        at_label = torch.where(labels < rows, at_label, at_new)
        greatest = torch.maximum(greatest, half.amax(dim=-1))
    total = torch.stack([_sum_exp_(half, greatest) for half in logits]).sum(dim=0)
    losses = greatest - at_label + total.log()
    ignored = labels == IGNORE
    return losses.masked_fill(ignored, 0.0), total.reciprocal().masked_fill(ignored, 0.0)


def _sum_exp_(logits: Tensor, greatest: Tensor) -> Tensor:
    return logits.sub_(greatest.unsqueeze(-1)).exp_().sum(dim=-1)


def _add_gradients(
    logits: list[Tensor],
    shares: Tensor,
    slopes: list[Tensor | float | None],
    x: Tensor,
    labels: Tensor,
    blocks: Blocks,
    sums: list[Tensor | None],
    need_hidden: bool,
) -> Tensor | None:
    """Add a piece's share to the `sums` of the blocks' gradients; the gradient of `x` (fp32) where it is needed."""
    grad_x = torch.zeros_like(x, dtype=torch.float32) if need_hidden else None
    for half, first_row in ((0, 0), (1, blocks[0].shape[0])):
        weight, sum_weight, sum_bias = blocks[half], sums[half], sums[half + 2]
        if weight is None or (grad_x is None and sum_weight is None and sum_bias is None):
            continue
        grad_logits = _grad_logits(logits[half], shares, labels, first_row)
        if (slope := slopes[half]) is not None:
            grad_logits.mul_(slope)
        if sum_bias is not None:
            sum_bias += grad_logits.sum(dim=0)
        grad_logits = grad_logits.to(x.dtype)
        if grad_x is not None:
            _add_product(grad_x, grad_logits, weight)
        if sum_weight is not None:
            _add_product(sum_weight, grad_logits.T, x)
    return grad_x


def _grad_logits(exponentials: Tensor, shares: Tensor, labels: Tensor, first_row: int) -> Tensor:
    """Softmax minus one at the label, 0 where ignored; overwrites `exponentials` (`[positions, rows]`, fp32)."""
    grad = exponentials.mul_(shares.unsqueeze(-1))
    row = labels - first_row
    here = (row >= 0) & (row < grad.shape[-1])  # an ignored label is in neither half
    minus_one = torch.where(here, -1.0, 0.0).to(grad.dtype)
    return grad.scatter_add_(-1, row.clamp(0, grad.shape[-1] - 1).unsqueeze(-1), minus_one.unsqueeze(-1))


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """`total += left @ right`, in place where the dtypes allow it; `total` is fp32."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
