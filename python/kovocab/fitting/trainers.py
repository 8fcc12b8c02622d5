"""Trainers as kovocab uses them: made afresh each time, and what goes wrong in them said by our own errors."""

import signal
import threading
from functools import partial
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch.distributed.checkpoint.api import CheckpointException

from kovocab.errors import ArtefactError, KovocabError, UsageError
from kovocab.run.configuration import Configuration


class OwnSigterm(Callback):
    """Keeps SIGTERM with who had it, where Lightning would take it.

    Lightning's handler tells the other processes by a collective, which hangs where they are in another one, and a fit
    that it stops ends without a word, as one that is done does.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember who has it: Lightning takes it after this, and gives it back at the end."""
        del trainer, pl_module, stage
        self._handler = signal.getsignal(signal.SIGTERM)

    def _take(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del trainer, pl_module
        if threading.current_thread() is threading.main_thread() and self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)

    on_sanity_check_start = on_train_start = on_validation_start = on_test_start = on_predict_start = _take


say = rank_zero_only(partial(print, flush=True))
"""Prints, on the first process."""


def new_trainer(configuration: Configuration, callbacks: list[Callback], **settings: Any) -> Trainer:
    """A fresh Trainer with the configuration's callbacks and `callbacks`; `settings` win over the configuration.

    Raises:
        UsageError: what Lightning refuses, which it says by errors of several kinds.
    """
    try:
        return configuration.new_trainer([OwnSigterm(), *callbacks], **settings)
    except KovocabError:
        raise
    except (MisconfigurationException, ValueError, TypeError, ModuleNotFoundError) as error:
        raise _refused(error) from error


def guarded(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a Trainer's method; Ctrl-C comes out as KeyboardInterrupt, where Lightning exits with 1.

    Raises:
        KeyboardInterrupt: Ctrl-C, or another signal that asks to stop.
        ArtefactError: a log or checkpoint cannot be written.
        UsageError: settings that Lightning refuses.
    """
    try:
        return function(*args, **kwargs)
    except KovocabError:
        raise
    except OSError as error:
        raise ArtefactError(f"the run cannot go on: {error}") from error
    except CheckpointException as error:  # a BaseException
        raise ArtefactError(f"the checkpoint cannot be read: {str(error).strip().splitlines()[-1]}") from error
    except MisconfigurationException as error:
        raise _refused(error) from error
    except Exception as error:
        if "Early stopping conditioned on metric" in str(error):  # a RuntimeError, where a ModelCheckpoint has another
            raise _refused(error) from error
        if type(error).__module__.partition(".")[0] != "wandb":
            raise
        raise UsageError(f"trainer.logger: {' '.join(str(error).split())}") from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def _refused(error: Exception) -> UsageError:
    return UsageError(f"trainer: {' '.join(str(error).split())}")
