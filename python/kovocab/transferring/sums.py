"""Rows of the result: the adapted model's, moved by what made the instruct model of the base.

Each number is worked out in a wider type than it is kept in, and rounded once: bf16 and fp16 in fp32, fp32 in fp64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

from kovocab.errors import ModelError
from kovocab.expanding.checks import is_finite
from kovocab.model.tensor_files import Weights

BLOCK = 1 << 24
"""Numbers of a tensor that are worked on at once."""

_NARROW = (torch.bfloat16, torch.float16)

_BASE, _ADAPTED, _INSTRUCT = "the base", "the adapted model", "the instruct model"


@dataclass(frozen=True)
class Ids:
    """Whose ids are whose, in the result: old, then chat tokens, then new ones, then rows without a token.

    Attributes:
        old: Tokens that the adapted model has from elsewhere: new ones follow there. Rows below are moved.
        chat: Tokens of the instruct model; those from `old` on the adapted model has not. New ones follow here.
        new: How many new tokens there are.
        rows: Of the result.
    """

    old: int
    chat: int
    new: int
    rows: int

    @property
    def moved_by(self) -> int:
        """How much higher the id of a new token is than in the adapted model."""
        return self.chat - self.old


@dataclass(frozen=True)
class Matrix:
    """A matrix by token, and what it is called in each model: tied embeddings stand for a head.

    Attributes:
        base: Its name in the base, and in the instruct model.
        pieces: For each new token the base's pieces whose rows move its row with them; None where it stays.
    """

    base: str
    pieces: Sequence[Sequence[int]] | None


class Sums:
    """The tensors of the result, block by block.

    Args:
        base: The base's.
        adapted: The adapted model's.
        instruct: The instruct model's.
        scale: What the change is multiplied by; 0 gives back the adapted model's bits.
        ids: Whose ids are whose.
        matrices: Those by token, by their names in the adapted model. All other tensors have one shape in all three.
    """

    def __init__(
        self,
        base: Weights,
        adapted: Weights,
        instruct: Weights,
        scale: float,
        ids: Ids,
        matrices: dict[str, Matrix],
    ) -> None:
        self._base, self._adapted, self._instruct = base, adapted, instruct
        self._scale, self._ids, self._matrices = scale, ids, matrices

    def blocks(self, name: str) -> Iterator[Tensor]:
        """The rows of a tensor, in order.

        Raises:
            ModelError: one of the three, or the result, holds what is no number.
        """
        shape, matrix = self._adapted.entries[name].shape, self._matrices.get(name)
        if matrix is None:
            yield from self._moved(name, name, 0, shape[0] if shape else 1)
            return
        ids, last = self._ids, self._ids.chat + self._ids.new
        yield from self._moved(name, matrix.base, 0, ids.old)
        for start, stop in self._cut(name, ids.old, ids.chat):
            rows = self._instruct.rows(matrix.base, start, stop)
            yield _checked(name, rows, _INSTRUCT).to(self._adapted.rows(name, 0, 1).dtype)
        for start, stop in self._cut(name, ids.old, ids.old + ids.new):
            yield self._new(name, matrix, start, stop)
        without = ids.old + ids.new  # rows of the adapted model that have no token
        for start, stop in self._cut(name, without, without + ids.rows - last):
            yield self._adapted.rows(name, start, stop)

    def _cut(self, name: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Rows from `start` to `stop` in parts of at most `BLOCK` numbers."""
        shape = self._adapted.entries[name].shape
        step = max(1, BLOCK // max(1, torch.Size(shape[1:]).numel()))
        for at in range(start, stop, step):
            yield at, min(at + step, stop)

    def _moved(self, name: str, base: str, start: int, stop: int) -> Iterator[Tensor]:
        for first, last in self._cut(name, start, stop):
            parts = [
                _checked(called, weights.rows(called, first, last), whose)
                for weights, called, whose in (
                    (self._adapted, name, _ADAPTED), (self._base, base, _BASE), (self._instruct, base, _INSTRUCT)
                )
            ]  # fmt: skip
            yield self._summed(name, moved(parts[0], parts[1], parts[2], self._scale))

    def _new(self, name: str, matrix: Matrix, start: int, stop: int) -> Tensor:
        """Rows of new tokens, by their ids in the adapted model."""
        rows = _checked(name, self._adapted.rows(name, start, stop), _ADAPTED)
        if matrix.pieces is None or self._scale == 0:
            return rows
        pieces = matrix.pieces[start - self._ids.old : stop - self._ids.old]
        wanted = {piece: at for at, piece in enumerate(sorted({piece for each in pieces for piece in each}))}
        before, after = (
            torch.cat([weights.rows(matrix.base, piece, piece + 1) for piece in wanted])
            for weights in (self._base, self._instruct)
        )
        wide = _wide(rows, before, after)
        change = after.to(wide) - before.to(wide)
        bags = torch.tensor([wanted[piece] for each in pieces for piece in each])
        starts = torch.tensor([0, *accumulate(len(each) for each in pieces)][:-1])
        moves = functional.embedding_bag(bags, change.reshape(len(wanted), -1), starts, mode="mean").reshape(rows.shape)
        return self._summed(name, (rows.to(wide) + self._scale * moves).to(rows.dtype))

    def _summed(self, name: str, block: Tensor) -> Tensor:
        kind = str(block.dtype).removeprefix("torch.")
        return _checked(name, block, f"the sum with scale {self._scale:g}, as {kind}")


def _checked(name: str, block: Tensor, whose: str) -> Tensor:
    if not is_finite(block):
        raise ModelError(f"{name} holds what is no number in {whose}; wanted finite weights")
    return block


def moved(adapted: Tensor, base: Tensor, instruct: Tensor, scale: float) -> Tensor:
    """`adapted + scale * (instruct - base)`, in a wider type and rounded once, in the dtype of `adapted`.

    With scale 0, and of what are no floats, it is `adapted` itself.
    """
    if scale == 0 or not adapted.is_floating_point():
        return adapted
    wide = _wide(adapted, base, instruct)
    change = (instruct.to(wide) - base.to(wide)).mul_(scale)
    return change.add_(adapted.to(wide)).to(adapted.dtype)


def _wide(*tensors: Tensor) -> torch.dtype:
    return torch.float32 if all(tensor.dtype in _NARROW for tensor in tensors) else torch.float64
