"""The learning rate over a stage."""

import math
from typing import cast

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from kovocab.errors import UsageError


class WarmupCosine(LRScheduler):
    """The learning rate rises linearly for `warmup_steps` and then falls by a cosine to a share of the top.

    Args:
        optimizer: Whose learning rates are the tops of the curve.
        warmup_steps: Optimizer steps until the top.
        total_steps: Optimizer steps of the whole stage.
        minimum: What is left at the end, as a share of the top.
        last_epoch: As in every torch scheduler.

    Raises:
        UsageError: the warm-up is longer than the stage.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        total_steps: int,
        minimum: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= warmup_steps <= total_steps:
            raise UsageError(f"warmup_steps is {warmup_steps} of {total_steps} total_steps; wanted at most as many")
        self.warmup_steps, self.total_steps, self.minimum = warmup_steps, total_steps, minimum
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each parameter group at this step."""
        return [cast("float", base) * self.share(self.last_epoch) for base in self.base_lrs]

    def share(self, step: int) -> float:
        """Learning rate at `step` as a share of the top."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * min(1.0, done))) / 2
