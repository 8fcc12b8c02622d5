"""Signals that ask to stop stop like Ctrl-C, with a number of their own; what a run ignores, it ignores."""

import os
import signal
import subprocess
import sys
import time

import pytest

from kovocab.machine.stopping import Stopped, drop_output, end_with, exit_code, listening, tell


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


def test_a_process_ends_with_its_parent() -> None:
    """Also where the parent is killed, of which no signal comes."""
    child = f"import {end_with.__module__} as ours, os, time; ours.end_with(os.getppid()); print(); time.sleep(60)"
    start = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    with subprocess.Popen([sys.executable, "-c", start, child], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.kill()
        begun = time.monotonic()
        parent.stdout.read()  # to the end, when the child has let go of it, too
    assert time.monotonic() - begun < 30


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
