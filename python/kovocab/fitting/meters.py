"""What a stage's logs say beside its losses: learning rate, gradient norm, tokens a second; and where they go."""

import time
from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer


class Meters(Callback):
    """Logs `lr`, `grad_norm` and `tokens_per_second` at the steps that the loggers write.

    The norm is that of the gradients before they are clipped, of all ranks together. In between steps nothing is
    computed, and nothing waits for the device.

    Args:
        tokens_per_step: Of all ranks.
    """

    def __init__(self, tokens_per_step: int) -> None:
        self._tokens_per_step = tokens_per_step
        self._seen = (0, 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        del pl_module
        self._seen = (trainer.global_step, time.monotonic())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Log, if this step is written."""
        step = trainer.global_step + 1
        every = getattr(trainer, "log_every_n_steps", 0)
        if not trainer.loggers or not every or step % every:
            return
        (before, then), now = self._seen, time.monotonic()
        self._seen = (step, now)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        pl_module.log_dict(
            {
                "lr": optimizer.param_groups[0]["lr"],
                "grad_norm": gradient_norm(gradients),
                "tokens_per_second": (step - before) * self._tokens_per_step / (now - then),
            }
        )


def gradient_norm(gradients: list[Tensor]) -> Tensor:
    """The 2-norm of all gradients together (scalar, on their device); of shards, those of all processes."""
    norm = get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def loggers(run: Path, number: int) -> list[Logger]:
    """CSV, and TensorBoard where it is installed: a folder for each time that a stage was started.

    So none overwrites another. They are `RUN/logs/stage-K/metrics.csv` and `RUN/tensorboard/stage-K/`.
    """
    logs = run / "logs"
    times = len([*logs.glob(f"stage-{number}"), *logs.glob(f"stage-{number}-again-*")])
    version = f"stage-{number}" + (f"-again-{times}" if times else "")
    made: list[Logger] = [CSVLogger(run, name="logs", version=version)]
    if find_spec("tensorboard"):
        made.append(TensorBoardLogger(run, name="tensorboard", version=version))
    return made
