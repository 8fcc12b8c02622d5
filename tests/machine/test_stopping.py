"""Signals that ask to stop stop like Ctrl-C, with a number of their own; what a run ignores, it ignores."""

import os
import signal
import sys
import time

import pytest

from kovocab.machine.stopping import Stopped, drop_output, exit_code, listening, tell


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"])
def test_each_signal_stops_and_is_given_back(name: str) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(Stopped) as stopped, listening():
            signal.raise_signal(number)
        assert exit_code(stopped.value) == 128 + number
        assert isinstance(stopped.value, KeyboardInterrupt)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening():
            signal.raise_signal(signal.SIGHUP)  # under nohup
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_one_that_comes_while_an_object_is_let_go_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    """Python drops what is raised in a __del__, and prints a traceback of it."""

    class Object:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def run() -> None:
        Object()
        time.sleep(10)

    hook = sys.unraisablehook
    with pytest.raises(Stopped) as stopped, listening():
        run()
    assert exit_code(stopped.value) == 143
    assert sys.unraisablehook is hook
    assert capfd.readouterr().err == ""


def test_plain_ctrl_c_is_130() -> None:
    assert exit_code(KeyboardInterrupt()) == 130


def test_output_that_nobody_reads_is_let_go() -> None:
    """In a process of its own: what it writes to is closed at the other end."""
    if (child := os.fork()) == 0:
        reading, writing = os.pipe()
        os.close(reading)
        code = 1
        try:
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            sys.stderr = sys.stdout = os.fdopen(writing, "w")
            tell("nobody hears this")
            tell("nor this")
            drop_output()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
