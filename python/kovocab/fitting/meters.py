"""What a stage's logs say beside its losses: learning rate, gradient norm, tokens a second; and where they go."""

import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
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


def loggers(run: Path, number: int, given: Logger | Iterable[Logger] | bool | None = None) -> list[Logger]:
    """CSV, and TensorBoard where it is installed: a folder for each time that a stage was started; and those given.

    So none overwrites another. They are `RUN/logs/stage-K/metrics.csv`, which `report` reads, and
    `RUN/tensorboard/stage-K/`. A run of Weights & Biases is called as its stage, unless somebody named it.

    Args:
        run: The folder of the run.
        number: The stage's.
        given: Of the configuration; False: none at all.
    """
    if given is False:
        return []
    more = [given] if isinstance(given, Logger) else list(given) if isinstance(given, Iterable) else []
    for logger in more:
        if isinstance(logger, WandbLogger):
            asked = logger._wandb_init  # of the environment, W&B goes by what was said of its first run
            asked["name"] = asked.get("name") or f"stage {number}"
            asked["group"] = asked.get("group") or run.resolve().name
    logs = run / "logs"
    title = f"stage-{number}"
    again = [path.name.removeprefix(f"{title}-again-") for path in logs.glob(f"{title}-again-*")]
    times = max((int(at) for at in again if at.isdecimal()), default=0) + 1
    version = f"{title}-again-{times}" if times > 1 or (logs / title).exists() else title
    made: list[Logger] = [CSVLogger(run, name="logs", version=version)]
    if find_spec("tensorboard"):
        made.append(TensorBoardLogger(run, name="tensorboard", version=version))
    return [*made, *more]


def ended(loggers: Iterable[Logger]) -> None:
    """End the runs of Weights & Biases, of which a process has one at a time: the next stage's would go on in it."""
    if any(isinstance(logger, WandbLogger) for logger in loggers):
        import wandb

        wandb.finish()
