"""Trainers as kovocab uses them: made afresh each time, and what goes wrong in them said by our own errors."""

from functools import partial
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch.distributed.checkpoint.api import CheckpointException

from kovocab.errors import ArtefactError, KovocabError, UsageError
from kovocab.run.configuration import Configuration

say = rank_zero_only(partial(print, flush=True))
"""Prints, on the first process."""


def new_trainer(configuration: Configuration, callbacks: list[Callback], **settings: Any) -> Trainer:
    """A fresh Trainer with the configuration's callbacks and `callbacks`; `settings` win over the configuration.

    Raises:
        UsageError: what Lightning refuses, which it says by errors of several kinds.
    """
    try:
        return configuration.new_trainer(callbacks, **settings)
    except KovocabError:
        raise
    except (MisconfigurationException, ValueError, TypeError, ModuleNotFoundError) as error:
        raise _refused(error) from error


def guarded(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a Trainer's method; Ctrl-C comes out as KeyboardInterrupt, where Lightning exits with 1.

    Raises:
        KeyboardInterrupt: Ctrl-C.
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
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def _refused(error: Exception) -> UsageError:
    return UsageError(f"trainer: {' '.join(str(error).split())}")
