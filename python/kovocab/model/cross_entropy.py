"""Cross entropy over two blocks of output rows, in pieces: the logits are never held all at once.

8,192 positions times 40,960 tokens are 1.3 GB of fp32 logits and as much again for their gradient. Here a
piece of positions is taken through logits, loss and gradient before the next. The logits of rows that do not train
come block by block and go at once: what they give the hidden states' gradient is added up as the softmax runs. Only
the gradient of rows asks for all of a piece's logits, to know what they are a share of, and it is made only for what
trains: with a frozen body and frozen old rows (stage 2) the old rows' half is a log-sum-exp and no more.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kovocab.expanding.logits import PLAIN, LogitForm
from kovocab.expanding.split_rows import SplitLinear
from kovocab.model.head_rows import Rows, blocks_of, cast, count, halves_of
from kovocab.model.softmax import RunningSoftmax

IGNORE = -100
"""The label of a position without loss, as everywhere in torch and transformers."""

PIECE_LOGITS = 1 << 24
"""Most logits of a piece: 64 MiB in fp32, 409 positions of 40,960 tokens."""

_BLOCKS = {"cpu": (512, 2048)}
_BLOCK = (1024, 16384)
"""Positions and rows of a block that need not stay. On a CPU its logits, 4 MiB, are to stay in the cache."""

_NO_GRADIENT = (None,) * 5  # labels, piece, rows, grad_enabled, form


def cross_entropy(
    hidden: Tensor,
    head: SplitLinear,
    labels: Tensor,
    *,
    form: LogitForm = PLAIN,
    old_vocab: bool = False,
    piece: int | None = None,
    rows: int | None = None,
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
        piece: Positions at a time; by default what gives at most `PIECE_LOGITS` logits that stay.
        rows: Rows of the head at a time.
    """
    total: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        form.states(hidden), labels, piece, rows, torch.is_grad_enabled(), form, *blocks_of(head, old_vocab)
    )
    return total / (labels != IGNORE).sum().clamp(min=1)


@torch.no_grad()
def token_losses(
    hidden: Tensor,
    head: SplitLinear,
    labels: Tensor,
    *,
    form: LogitForm = PLAIN,
    piece: int | None = None,
    rows: int | None = None,
) -> Tensor:
    """The loss of each position, without gradient: `[positions]`, fp32, 0 where the label is `IGNORE`."""
    hidden = form.states(hidden)
    halves = halves_of(cast(blocks_of(head), hidden), labels.masked_fill(labels == IGNORE, 0))
    piece, rows = _sizes_of(halves, labels, piece, rows)
    found = torch.empty(len(labels), dtype=torch.float32, device=hidden.device)
    with torch.autocast(hidden.device.type, enabled=False):
        for start in range(0, len(labels), piece):
            x, softmax = _piece(hidden, labels, start, piece, halves)
            _add_gradients(x, softmax, halves, rows, form, need_hidden=False)
            found[start : start + piece] = softmax.losses
    return found


class _CrossEntropy(torch.autograd.Function):
    """The sum of the losses. Gradients are made in the forward pass, where the logits are; scaled later."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        labels: Tensor,
        piece: int | None,
        rows: int | None,
        grad_enabled: bool,
        form: LogitForm,
        *parameters: Any,
    ) -> Tensor:
        need_hidden, *_, old, new, old_bias, new_bias = (grad_enabled and needed for needed in ctx.needs_input_grad)
        blocks = cast(parameters, hidden)
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        sums = [
            torch.zeros_like(block, dtype=torch.float32) if block is not None and needed else None
            for block, needed in zip(blocks, (old, new, old_bias, new_bias), strict=True)
        ]
        halves = halves_of(blocks, labels.masked_fill(labels == IGNORE, 0), sums)
        piece, rows = _sizes_of(halves, labels, piece, rows)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(labels), piece):
                x, softmax = _piece(hidden, labels, start, piece, halves)
                grad_x = _add_gradients(x, softmax, halves, rows, form, need_hidden)
                total += softmax.losses.sum()
                if grad_hidden is not None and grad_x is not None:
                    grad_hidden[start : start + piece] = grad_x
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


def held_logits(halves: Sequence[tuple[int, bool]], positions: int, device: str) -> tuple[int, int]:
    """The most logits that are there at a time, and how many positions a piece has.

    Args:
        halves: Of the head's halves, how many rows there are and whether their logits stay (`Rows.stay`).
        positions: Of the batch.
        device: Its type, `cpu` or another.
    """
    size, most = _sizes(sum(rows for rows, _ in halves), any(stays for _, stays in halves), positions, device)
    staying = sum(rows for rows, stays in halves if stays)
    return size * (staying + max((min(most, rows) for rows, stays in halves if not stays), default=0)), size


def _sizes(rows: int, stay: bool, positions: int, device: str, piece: int | None = None) -> tuple[int, int]:
    """Positions and rows at a time: pieces of one size, since a small last one would multiply slowly.

    Rows are a multiple of 16, or the logits of a position would begin anywhere in a cache line: a seventh slower.
    """
    most, columns = _BLOCKS.get(device, _BLOCK)
    block = most * columns
    if stay:
        most = max(1, min(most, PIECE_LOGITS // rows))
    size = piece or max(1, math.ceil(positions / max(1, math.ceil(positions / most))))
    return size, max(16, block // size // 16 * 16)


def _sizes_of(halves: list[Rows], labels: Tensor, piece: int | None, rows: int | None) -> tuple[int, int]:
    stay = any(half.stay for half in halves)
    size, most = _sizes(count(halves), stay, len(labels), labels.device.type, piece)
    return size, rows or most


def _piece(hidden: Tensor, labels: Tensor, start: int, size: int, halves: list[Rows]) -> tuple[Tensor, RunningSoftmax]:
    """Hidden states and their softmax from `start` on. Where no loss is, the states are 0: they spread nowhere."""
    y = labels[start : start + size]
    ignored = y == IGNORE
    x = hidden[start : start + size].to(halves[0].weight.dtype)
    return x.masked_fill(ignored.unsqueeze(-1), 0.0), RunningSoftmax(y, ignored)


def _add_gradients(
    x: Tensor, softmax: RunningSoftmax, halves: list[Rows], most: int, form: LogitForm, need_hidden: bool
) -> Tensor | None:
    """Take a piece through its softmax, `most` rows at a time; the gradient of `x` (fp32) where it is needed.

    What a block that need not stay adds to that gradient is multiplied with its exponentials, before their sum is
    known, and made a share of it at the end. Of one that stays the exponentials are kept until then.
    """
    grad_x = torch.zeros_like(x, dtype=torch.float32) if need_hidden else None
    kept: list[tuple[Rows, Tensor, Tensor | float | None, Tensor]] = []
    for rows in (block for half in halves for block in half.blocks(most)):
        logits = rows.logits(x, form)
        slope = form.slopes(logits) if rows.stay or need_hidden else None  # else nobody asks for it
        factor = softmax.add_(logits, rows.first)
        if grad_x is not None:
            grad_x.mul_(factor)
        if rows.stay:
            kept.append((rows, logits, slope, softmax.greatest))
        elif grad_x is not None:
            rows.add_gradients(_times_(logits, slope), x, grad_x)
        del logits, slope  # or the next block's would be held beside them
    if grad_x is not None:
        grad_x.mul_(softmax.shares)
        at_label = _times_(softmax.label_gradient, form.slopes(softmax.at_label))
        for half in halves:
            if not half.stay:
                row, here = softmax.find(half.first, len(half.weight))
                grad_x.addcmul_(half.weight[row.squeeze(-1)].float(), torch.where(here, at_label, 0.0))
    for rows, exponentials, slope, greatest in kept:
        rows.add_gradients(_times_(softmax.gradient_(exponentials, greatest, rows.first), slope), x, grad_x)
    return grad_x


def _times_(gradient: Tensor, slope: Tensor | float | None) -> Tensor:
    return gradient if slope is None else gradient.mul_(slope)
