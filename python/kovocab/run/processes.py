"""The processes of one run: all end when one does, and no two runs train the same stage at once."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_only

from kovocab.errors import ArtefactError, ClusterError, KovocabError
from kovocab.machine.stopping import end_with
from kovocab.packing.memo import ASKED

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
"""The file in the folder of a stage in progress that its run has locked, and by which the folder is known."""

_MARK = b"kovocab trains a stage here\n"

_MAIN = "KOVOCAB_MAIN_PROCESS"
"""Its number, for the processes that Lightning's launcher starts with the environment of the main one."""

_LOST = re.compile("connection (closed|reset)|broken pipe|remote process exited|network error", re.IGNORECASE)
"""How gloo and NCCL say that another process is gone."""


@contextmanager
def one_run() -> Iterator[None]:
    """Round all that the processes of a run do together.

    Raises:
        ClusterError: another process of the run is gone, so this one cannot go on.
    """
    _end_with_main()
    os.environ.setdefault(ASKED, str(time.time()))
    try:
        yield
    except BaseException as error:  # Ctrl-C, too, and what torch makes of a broken sharded checkpoint
        lost = isinstance(error, RuntimeError) and _LOST.search(str(error))
        _leave(failed=True)
        if lost and not isinstance(error, KovocabError):
            raise ClusterError(
                "another process of this run has ended; if it did not say why, it was killed (out of memory, say). "
                "The same command goes on from the last checkpoint"
            ) from error
        raise
    else:
        _leave(failed=False)
    finally:
        if os.environ.get(_MAIN) == str(os.getpid()):
            del os.environ[_MAIN], os.environ[ASKED]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs off a stage in progress; the system lets go of it when this process ends, however it does.

    Raises:
        ArtefactError: another run has it.
    """
    if fcntl is None or rank():
        yield
        return
    handle = _locked(folder)
    try:
        if not os.fstat(handle).st_size:
            os.write(handle, _MARK)
        yield
    finally:
        os.close(handle)


def _locked(folder: Path) -> int:
    """The lock of a stage in progress, opened and taken."""
    while True:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise ArtefactError(
                f"{folder} is being trained by another process; wait for its end, or stop it"
            ) from error
        except OSError:  # a file system without locks
            return handle
        # Who had it removes it when the stage is done, and then a third run's is another file.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), (folder / LOCK).stat()):
                return handle
        os.close(handle)


def is_marked(folder: Path) -> bool:
    """Whether a folder is one that was `held`."""
    try:
        return (folder / LOCK).read_bytes() == _MARK
    except OSError:
        return False


def rank() -> int:
    """Of this process, of all; known once there is a Trainer."""
    return int(getattr(rank_zero_only, "rank", 0))


def _end_with_main() -> None:
    """Let a process that Lightning started end with the main one, also where that one is killed.

    In a collective of NCCL it would wait for minutes else, and hold its GPU while the next run wants it.
    """
    main = int(os.environ.setdefault(_MAIN, str(os.getpid())))
    if main == os.getpid() or os.environ.get("LOCAL_RANK", "0") == "0":
        return

    end_with(main)


def _leave(*, failed: bool) -> None:
    """Leave the process group: gloo's threads may hold tensors, and abort a process where Python ends below them."""
    # NCCL's own end waits for the other processes, which may be gone.
    if torch.distributed.is_initialized() and not (failed and torch.distributed.get_backend() == "nccl"):
        torch.distributed.destroy_process_group()
