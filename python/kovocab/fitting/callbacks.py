"""What `fit` adds to a Trainer: losses on record, plain lines, the seed."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from torch.optim import Optimizer


class Losses(Callback):
    """The losses of a stage: held out before and after it, and in training over its last tenth.

    Attributes:
        val_before: None where validation is off.
        val: The last one measured, at step `val_step`.
        train: The mean over the last tenth, of all ranks; None before the end, and where it was not reached.
    """

    def __init__(self) -> None:
        self.val_before: float | None = None
        self.val: float | None = None
        self.val_step = -1
        self.train: float | None = None
        self._sum, self._batches = 0.0, 0
        self._pending: list[torch.Tensor] = []
        self._trainer: Trainer | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the Trainer, whose ranks a checkpoint's state is of."""
        del pl_module, stage
        self._trainer = trainer

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's sanity check runs over all that is held out: what the stage starts from."""
        del pl_module
        self.val_before = _metric(trainer, "loss/val")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the held-out loss."""
        del pl_module
        if not trainer.sanity_checking:
            self.val, self.val_step = _metric(trainer, "loss/val"), trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch's loss, if it is one of the last tenth."""
        del pl_module, batch
        batches = trainer.max_steps * trainer.accumulate_grad_batches
        if batch_idx >= batches - max(1, batches // 10):
            # Lightning hands over the share that goes into the step. It stays on the device: no waiting.
            self._pending.append(outputs["loss"] * trainer.accumulate_grad_batches)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the mean; not at the end of training, which one that goes on behind its last step never comes to."""
        del trainer, pl_module
        self._settle()
        self.train = self._sum / self._batches if self._batches else None

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        self._settle()
        return {"val_before": self.val_before, "sum": self._sum, "batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.val_before = state_dict["val_before"]
        self._sum, self._batches = state_dict["sum"], state_dict["batches"]

    def _settle(self) -> None:
        """Add what is pending on all ranks: a checkpoint keeps the state of one, and gives it to all."""
        total, batches = sum(loss.item() for loss in self._pending), len(self._pending)
        self._pending.clear()
        if self._trainer is not None and self._trainer.world_size > 1:  # else no device is asked for fp64
            strategy = self._trainer.strategy
            own = torch.tensor([total, batches], dtype=torch.float64, device=strategy.root_device)
            total, batches = strategy.reduce(own, reduce_op="sum").tolist()
        self._sum += total
        self._batches += round(batches)


class StepSeed(Callback):
    """Seeds every batch by its number, so that dropout of a resumed run is that of a run never stopped.

    Lightning's checkpoints do not hold the state of the random generators.

    Args:
        seed: Of the run.
        stage: Its number.
    """

    def __init__(self, seed: int, stage: int) -> None:
        self._seed, self._stage = seed, stage

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed torch on all devices."""
        del pl_module, batch
        sequence = np.random.SeedSequence([self._seed, self._stage, batch_idx, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1)[0]))


class StageBar(TQDMProgressBar):
    """A progress bar of one stage, for a terminal.

    Args:
        title: What it begins with.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Begin the bar; name the stage, where Lightning names the epoch."""
        del args
        # In batches, as the bar counts; Lightning's own total is in steps and wrong with accumulation.
        self.train_progress_bar.reset(trainer.num_training_batches)
        self.train_progress_bar.set_description(self._title)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What Lightning shows, less the logger's folder."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class PlainLines(Callback):
    """A line every few seconds, for logs that are read where no terminal is.

    Args:
        title: What the line begins with.
        tokens_per_step: To give a speed.
        seconds: Between two lines.
    """

    def __init__(self, title: str, tokens_per_step: int, seconds: float = 10.0) -> None:
        self._title, self._tokens_per_step, self._seconds = title, tokens_per_step, seconds
        self._shown = (0, 0.0)
        self._lr = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        del pl_module
        self._shown = (trainer.global_step, time.monotonic())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Keep the step's learning rate, as `Meters` logs it: behind the step the schedule has set the next one's."""
        del trainer, pl_module
        self._lr = optimizer.param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show the step, the loss, the learning rate and the speed."""
        del pl_module, args
        step, (shown, then), now = trainer.global_step, self._shown, time.monotonic()
        if not trainer.is_global_zero or step == shown or (now - then < self._seconds and step < trainer.max_steps):
            return
        self._shown = (step, now)
        speed = (step - shown) * self._tokens_per_step / (now - then)
        loss = _metric(trainer, "loss/train")
        said = f"loss {loss:.3f}  " if loss is not None else ""
        print(
            f"{self._title}  step {step}/{trainer.max_steps}  {said}lr {self._lr:.2e}  {speed:,.0f} tokens/s",
            flush=True,
        )


class HeldOutLines(Callback):
    """A line every few seconds of a pass over what is held out, where no terminal is; a short one is quiet.

    Args:
        title: What the line begins with.
        seconds: Between two lines.
    """

    def __init__(self, title: str, seconds: float = 10.0) -> None:
        self._title, self._seconds = title, seconds
        self._last = 0.0

    def on_validation_start(self, trainer: Trainer, *args: Any) -> None:
        """Start the clock; of validation, of a test, of a prediction."""
        del trainer, args
        self._last = time.monotonic()

    def on_test_start(self, trainer: Trainer, *args: Any) -> None:
        """As `on_validation_start`."""
        self.on_validation_start(trainer, *args)

    def on_predict_start(self, trainer: Trainer, *args: Any) -> None:
        """As `on_validation_start`."""
        self.on_validation_start(trainer, *args)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Show how many batches are done, and of how many."""
        sanity = trainer.sanity_checking
        self._show(trainer, args[3], trainer.num_sanity_val_batches if sanity else trainer.num_val_batches)

    def on_test_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """As `on_validation_batch_end`."""
        self._show(trainer, args[3], trainer.num_test_batches)

    def on_predict_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """As `on_validation_batch_end`."""
        self._show(trainer, args[3], trainer.num_predict_batches)

    def _show(self, trainer: Trainer, batch: int, batches: Sequence[int | float]) -> None:
        now = time.monotonic()
        if trainer.is_global_zero and now - self._last >= self._seconds:
            self._last = now
            print(f"{self._title}  held out: batch {batch + 1:,} of {sum(batches):,}", flush=True)


def _metric(trainer: Trainer, name: str) -> float | None:
    value = trainer.callback_metrics.get(name)
    return None if value is None else float(value)
