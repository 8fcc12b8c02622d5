"""How a run is asked to stop: Ctrl-C, the SIGTERM of a scheduler, the SIGHUP of a terminal that closes.

And what schedulers send some time before they kill: SIGUSR1 or SIGUSR2 (`sbatch --signal`), SIGXCPU (a limit of time).
Lightning would take SIGUSR1 on SLURM, for a checkpoint that it then loads into every later stage.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

Handler = Callable[[int, FrameType | None], None]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
ASKS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""The signals that ask; Windows has but the first two."""


_AGAIN = 0.02
"""Seconds."""

PARENT = "KOVOCAB_PARENT"
"""The number of the process, as a variable of the environment, that a verb is a part of, and ends with."""


class Stopped(KeyboardInterrupt):
    """The run was asked to stop. It is treated as Ctrl-C is, which it may be.

    Args:
        number: The signal that asked.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = int(number)


def stop(number: int, frame: FrameType | None = None) -> None:
    """Stop where the run is.

    Raises:
        Stopped: always.
    """
    del frame
    raise Stopped(number)


def exit_code(stopped: KeyboardInterrupt) -> int:
    """What a run that was asked to stop ends with, as a shell has it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + getattr(stopped, "number", int(signal.SIGINT))


@contextmanager
def listening(handler: Handler = stop) -> Iterator[None]:
    """Have `handler` called where the run is asked to stop; what it ignores, as under nohup, it goes on to ignore."""
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler
        yield
        return
    before = {number: signal.getsignal(number) for number in ASKS}
    heard = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    said = sys.unraisablehook

    def unraisable(lost: "sys.UnraisableHookArgs") -> None:
        if isinstance(
            lost.exc_value, Stopped
        ):  # raised in a __del__, where Python drops it: asked again a little later
            again = threading.Timer(_AGAIN, os.kill, (os.getpid(), lost.exc_value.number))
            again.daemon = True
            again.start()
        else:
            said(lost)

    sys.unraisablehook = unraisable
    for number in heard:
        signal.signal(number, handler)
    try:
        yield
    finally:
        sys.unraisablehook = said
        for number, old in heard.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


def end_with(parent: int) -> None:
    """End this process when its parent has ended, however that ended; the kill of a parent reaches no child."""
    if os.name == "nt":  # where a virtual environment's python.exe is another process, between the two
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watches-the-parent").start()


def tell(line: str) -> None:
    """Say something on standard error; where nobody can read it any more, go on without that, and without output."""
    try:
        print(line, file=sys.stderr, flush=True)
        sys.stdout.flush()
    except (OSError, ValueError):
        drop_output()


def drop_output() -> None:
    """Send what is left to write nowhere: Python writes it at its end, and would say that it could not."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):  # it may be no file
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
