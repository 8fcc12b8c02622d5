"""What `fit` adds to a Trainer: checkpoints that resume exactly, losses on record, plain lines, the seed."""

import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, TQDMProgressBar
from torch.distributed.checkpoint.api import CheckpointException

from kovocab.artefact import Record
from kovocab.checkpoint_io import DirectCheckpointIO, callback_state, seal
from kovocab.errors import ArtefactError
from kovocab.processes import rank
from kovocab.runs import compare

LAST = "last.ckpt"


class StageCheckpoint(Checkpoint):
    """Keeps one checkpoint, of the last step that was saved; Ctrl-C saves one more and stops.

    Checkpoints are written between optimizer steps only: in the middle of accumulated batches the gradients
    so far would be lost. There is none after the last step, so a run that is killed before the stage's
    artefact is written trains the last few steps again, and is verified and validated like any other.

    Args:
        folder: Where `last.ckpt` goes.
        every: Optimizer steps between two.
        settings: All that decides what the stage's weights become; a checkpoint of others is refused.

    Attributes:
        interrupted: Whether Ctrl-C was heard.
        saved: The step of the last checkpoint of this fit, if there was one.
    """

    def __init__(self, folder: Path, every: int, settings: Record) -> None:
        super().__init__()
        self.last, self._every, self._settings = folder / LAST, every, settings
        self._part, self._old = (self.last.with_suffix(suffix) for suffix in (".part", ".old"))
        self.interrupted = False
        self._step = 0
        self._stepping = False
        self.saved: int | None = None

    def found(self) -> Path | None:
        """The checkpoint to go on from, if there is one; looked at before any process is started.

        It is the one before the last where the end came between two renames.

        Raises:
            ArtefactError: it is damaged, or of another stage, base, tokenizer or the like.
        """
        if rank() == 0:
            _remove(self._part)  # half a checkpoint, of either kind
        there = next((path for path in (self.last, self._old) if path.exists()), None)
        if there is not None and rank() == 0:
            compare(there, callback_state(there, self.state_key)["settings"], self._settings)
        return there

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have checkpoints written and read without detours, unless the user chose how."""
        del pl_module, stage
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = DirectCheckpointIO()

    def state_dict(self) -> Record:
        """For a checkpoint: what it is of."""
        return {"settings": self._settings}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C round a fit: while it steps, a step is finished first; elsewhere it strikes at once.

        Not in the callback's own hooks: Lightning keeps the handlers that it finds in the middle of a fit,
        and puts them back at its end.
        """
        if threading.current_thread() is not threading.main_thread():  # no other may set a handler
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where a resumed run begins."""
        del pl_module
        self._step, self._stepping = trainer.global_step, True

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Save after a step, if it is time."""
        del args
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if self._step >= trainer.max_steps:
            return
        stop = self._asked(trainer)
        if stop or self._step % self._every == 0:
            self._save(trainer)
        if stop:
            raise KeyboardInterrupt

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Stop; the last checkpoint stands."""
        del args
        if self._asked(trainer):
            raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """No step will come that Ctrl-C could wait for."""
        del trainer, pl_module
        self._stepping = False

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if self.interrupted or not self._stepping:
            raise KeyboardInterrupt
        self.interrupted = True
        print("\nstopping after this step; Ctrl-C again stops at once", file=sys.stderr)

    def _asked(self, trainer: Trainer) -> bool:
        # Ranks hear Ctrl-C at different moments, and saving takes all of them.
        return bool(trainer.strategy.reduce_boolean_decision(self.interrupted, all=False))

    def _save(self, trainer: Trainer) -> None:
        try:
            trainer.save_checkpoint(self._part)
            if trainer.is_global_zero and self._part.is_dir():
                seal(self._part)
        except (OSError, CheckpointException, RuntimeError) as error:  # the second, of shards, is a BaseException
            if isinstance(error, OSError):
                reason: object = error.strerror or error
            elif isinstance(error, CheckpointException):
                reason = str(error).strip().splitlines()[-1]
            elif "inline_container" in str(error):  # where torch writes a file by itself, it hides the system's error
                reason = "a write failed; is the disk full?"
            else:
                raise
            _remove(self._part)
            raise ArtefactError(f"{self.last} cannot be written: {reason}") from error
        if trainer.is_global_zero:
            # No rename replaces a folder that holds something, or a file by a folder.
            if self.last.exists() and (self.last.is_dir() or self._part.is_dir()):
                _remove(self._old)
                self.last.replace(self._old)
            self._part.replace(self.last)
            _remove(self._old)
        self.saved = self._step
        trainer.strategy.barrier("checkpoint")


def _remove(path: Path) -> None:
    """A checkpoint of either kind, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # other ranks remove it too
    else:
        path.unlink(missing_ok=True)


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

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the mean over all ranks."""
        del pl_module
        self._settle()
        total, batches = self._sum, self._batches
        if trainer.world_size > 1:
            own = torch.tensor([total, batches], dtype=torch.float64, device=trainer.strategy.root_device)
            total, batches = trainer.strategy.reduce(own, reduce_op="sum").tolist()
        self.train = total / batches if batches else None

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        self._settle()
        return {"val_before": self.val_before, "sum": self._sum, "batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.val_before = state_dict["val_before"]
        self._sum, self._batches = state_dict["sum"], state_dict["batches"]

    def _settle(self) -> None:
        self._sum = sum((loss.item() for loss in self._pending), self._sum)
        self._batches += len(self._pending)
        self._pending.clear()


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

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        del pl_module
        self._shown = (trainer.global_step, time.monotonic())

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Show the step, the loss, the learning rate and the speed."""
        del pl_module, args
        step, (shown, then), now = trainer.global_step, self._shown, time.monotonic()
        if not trainer.is_global_zero or step == shown or (now - then < self._seconds and step < trainer.max_steps):
            return
        self._shown = (step, now)
        speed = (step - shown) * self._tokens_per_step / (now - then)
        loss, lr = _metric(trainer, "loss/train"), trainer.optimizers[0].param_groups[0]["lr"]
        said = f"loss {loss:.3f}  " if loss is not None else ""
        print(
            f"{self._title}  step {step}/{trainer.max_steps}  {said}lr {lr:.2e}  {speed:,.0f} tokens/s",
            flush=True,
        )


def _metric(trainer: Trainer, name: str) -> float | None:
    value = trainer.callback_metrics.get(name)
    return None if value is None else float(value)
