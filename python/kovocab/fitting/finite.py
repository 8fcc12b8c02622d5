"""What stops a stage where a loss, or a weight, is no number: at that step, and before a checkpoint keeps it."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.distributed.tensor import DTensor

from kovocab.errors import ModelError


class NoNumber(ModelError):
    """A loss or a weight that is no number: says which, and at which step."""


class NoHeldOutNumber(NoNumber):
    """A held-out loss that is no number: what weights gave it may be in a checkpoint already."""


class Finite(Callback):
    """Watches losses at every step, and weights where a checkpoint is about to keep them.

    The losses of a step are looked at one step later, so that nothing waits for the device: what they came to is
    copied to the host behind them, and is there by then. Before a checkpoint they are looked at in any case. Of
    several processes all hear of it at the same step. Gradients are not watched: fp16's scaler steps over those that
    overflow, and where nothing does they show in the weights.
    """

    def __init__(self) -> None:
        self._step = 0
        self._bad: Tensor | None = None
        self._copied: tuple[int, Tensor, torch.cuda.Event | None] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where a resumed run begins."""
        del pl_module
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *args: Any) -> None:
        """Note whether the batch's loss is a number; at the end of a step look at the step before.

        Raises:
            NoNumber: it was none.
        """
        del pl_module, args
        bad = (~torch.isfinite(outputs["loss"].detach())).float()
        self._bad = bad if self._bad is None else self._bad + bad
        if trainer.global_step == self._step:  # batches are accumulated
            return
        self._step = trainer.global_step
        self._look()
        reduced: Any = trainer.strategy.reduce(self._bad, reduce_op="sum")
        self._bad, self._copied = None, (self._step, *_copied(reduced))

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See that the stage starts from a held-out loss that is a number.

        Raises:
            NoNumber: it is none.
        """
        del pl_module
        _check_held_out(trainer, "before the first step")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See that the held-out loss is a number.

        Raises:
            NoNumber: it is none.
        """
        del pl_module
        if not trainer.sanity_checking:
            _check_held_out(trainer, f"after step {trainer.global_step}")

    def check(self, trainer: Trainer) -> None:
        """See that the last step's losses were numbers, and that what trains is; on all processes.

        Raises:
            NoNumber: they were not, or it is not.
        """
        self._look()
        sound = all(_finite(tensor) for optimizer in trainer.optimizers for tensor in _trained(optimizer))
        if not trainer.strategy.reduce_boolean_decision(sound):
            raise NoNumber(f"after step {trainer.global_step} of {trainer.max_steps} a weight is no number")

    def _look(self) -> None:
        if self._copied is None:
            return
        step, count, event = self._copied
        self._copied = None
        if event is not None:
            event.synchronize()
        if count.item():
            raise NoNumber(f"the training loss of step {step} is no number")


def _copied(value: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """The value on the host, once the event has come."""
    if not value.is_cuda:
        return value, None
    host, event = torch.empty_like(value, device="cpu", pin_memory=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
    host.copy_(value, non_blocking=True)
    event.record()
    return host, event


def _trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """What the optimizer moves, and its state of that: an average that is infinite moves it at the next step."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return weights + states


def _finite(tensor: Tensor) -> bool:
    own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return not own.is_floating_point() or bool(torch.isfinite(own).all())


def _check_held_out(trainer: Trainer, when: str) -> None:
    loss = trainer.callback_metrics.get("loss/val")
    if loss is not None and not math.isfinite(loss):
        raise NoHeldOutNumber(f"the held-out loss {when} is no number")
