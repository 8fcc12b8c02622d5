"""Checkpoints within a stage: a run that goes on from one ends as a run that was never stopped."""

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.distributed.checkpoint.api import CheckpointException

from kovocab.errors import ArtefactError
from kovocab.machine.stopping import stop, tell
from kovocab.record import Record
from kovocab.run.checkpoint_files import DirectCheckpointIO, callback_state, seal
from kovocab.run.folder import HALF, KEPT, compare
from kovocab.run.processes import rank
from kovocab.workplace import remove, sync

LAST, BEFORE = KEPT


class StageCheckpoint(Checkpoint):
    """Keeps one checkpoint, of the last step that was saved; Ctrl-C, SIGTERM and SIGHUP save one more and stop.

    Checkpoints are written between optimizer steps only: in the middle of accumulated batches the gradients
    so far would be lost. Beside every few steps there is one before each held-out pass, within the stage and behind
    its last step: a run that is stopped there, or before the artefact is written, has lost no step.

    Args:
        folder: Where `last.ckpt` goes.
        every: Optimizer steps between two.
        settings: All that decides what the stage's weights become; a checkpoint of others is refused.
        check: Called on all processes before one is written; raises if what it would keep is not sound.

    Attributes:
        asked: The signal that asked this process to stop; None where none has.
        saved: The step of the checkpoint to go on from, written or read by this fit; None where there is none.
    """

    def __init__(
        self, folder: Path, every: int, settings: Record, check: Callable[[Trainer], None] = lambda _: None
    ) -> None:
        super().__init__()
        self._check = check
        self.last, self._every, self._settings = folder / LAST, every, settings
        self._part, self._old = folder / HALF, folder / BEFORE
        self.asked: int | None = None
        self._process = os.getpid()
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
            remove(self._part)  # half a checkpoint, of either kind
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

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: Record) -> None:
        """Remember of which step the checkpoint is that this fit goes on from."""
        del trainer, pl_module
        self.saved = checkpoint["global_step"]

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Take a signal round a fit: while it steps, a step is finished first; elsewhere it strikes at once.

        Raises:
            Stopped: no step is to be waited for, or it is the second time.
        """
        if os.getpid() != self._process:  # one that reads ahead: it ends with the main one
            return
        if self.asked is not None or not self._stepping:
            stop(number, frame)
        self.asked = number
        tell("\nstopping after this step; Ctrl-C again stops at once")

    def stop(self) -> None:
        """Stop, as this process or another one was asked to.

        Raises:
            Stopped: always.
        """
        stop(signal.SIGINT if self.asked is None else self.asked)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where a resumed run begins."""
        del pl_module
        self._step, self._stepping = trainer.global_step, True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after a step, if it is time."""
        del pl_module, outputs, batch
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        stopping = self._asked(trainer)
        last = self._step >= trainer.max_steps
        held_out = last or (batch_idx + 1) % (trainer.val_check_batch or math.inf) == 0
        held_out = held_out and trainer.enable_validation
        if stopping or last or held_out or self._step % self._every == 0:
            self._save(trainer, sure=not held_out)
        if stopping:
            self.stop()

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Stop; the last checkpoint stands."""
        del args
        if self._asked(trainer):
            self.stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The held-out loss was a number, so the checkpoint before the last is not needed."""
        del pl_module
        if trainer.is_global_zero and not trainer.sanity_checking:
            remove(self._old)

    def take_back(self) -> None:
        """Go back to the checkpoint before the last: that one holds weights whose held-out loss is no number."""
        if rank():
            return
        remove(self.last)
        self.saved = None
        if self._old.exists():
            self._old.replace(self.last)
            # Lightning keeps what is not sharded in a file of this name.
            file = self.last / "meta.pt" if self.last.is_dir() else self.last
            self.saved = torch.load(file, map_location="cpu", mmap=True, weights_only=True)["global_step"]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """No step will come that a signal could wait for."""
        del trainer, pl_module
        self._stepping = False

    def _asked(self, trainer: Trainer) -> bool:
        # Ranks hear of it at different moments, or one alone does, and saving takes all of them.
        return bool(trainer.strategy.reduce_boolean_decision(self.asked is not None, all=False))

    def _save(self, trainer: Trainer, *, sure: bool) -> None:
        """Replace the last checkpoint; the one before it is kept until a held-out pass has gone well."""
        self._check(trainer)
        try:
            trainer.save_checkpoint(self._part)
            if trainer.is_global_zero:
                if self._part.is_dir():
                    seal(self._part)
                sync(self._part)
        except (OSError, CheckpointException, RuntimeError) as error:  # the second, of shards, is a BaseException
            if isinstance(error, OSError):
                reason: object = error.strerror or error
            elif isinstance(error, CheckpointException):
                reason = str(error).strip().splitlines()[-1]
            elif "inline_container" in str(error):  # where torch writes a file by itself, it hides the system's error
                reason = "a write failed; is the disk full?"
            else:
                raise
            remove(self._part)
            raise ArtefactError(f"{self.last} cannot be written: {reason}") from error
        if trainer.is_global_zero:
            # No rename replaces a folder that holds something, or a file by a folder.
            if self.last.exists() and (not sure or self.last.is_dir() or self._part.is_dir()):
                remove(self._old)
                self.last.replace(self._old)
            self._part.replace(self.last)
            if sure:
                remove(self._old)
        self.saved = self._step
        trainer.strategy.barrier("checkpoint")
