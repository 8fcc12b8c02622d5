"""A run that a scheduler or a closing terminal ends saves its step, says so, and does not pass for one that is done."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from kovocab.machine.stopping import ASKS
from kovocab.run.stage_checkpoint import LAST
from support import runs

pytestmark = pytest.mark.usefixtures("in_place")

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1, limit_val_batches: 0}
schedule: [{input_rows: new}]
defaults: {lr: 1e-2, steps: 100000}
checkpoint_every: 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded model, a corpus and the configuration of a run that does not end."""
    return runs.make_place(tmp_path_factory.mktemp("place"), CONFIG)


def heard():
    """The shell that runs the tests may ignore the signals, and a child would inherit that."""
    for number in ASKS[1:]:
        signal.signal(number, signal.SIG_DFL)


def begin(run, *args, stderr=subprocess.PIPE):
    """A run in a session of its own, once it keeps a checkpoint."""
    command = [sys.executable, "-m", "kovocab", "fit", "--config", "fit.yaml", "--run", str(run), *args]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr, text=True, start_new_session=True,
        preexec_fn=heard,  # noqa: PLW1509 - it starts no thread
    )  # fmt: skip
    try:
        for _ in range(600):
            if (run / "stages/.1" / LAST).exists():
                return child
            assert child.poll() is None, child.communicate()
            time.sleep(0.1)
        raise AssertionError("no checkpoint within a minute")
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        raise


def ended(child, code):
    """What a run that was asked to stop says; it and its processes end by themselves."""
    try:
        said = child.communicate(timeout=30)[1]
        assert child.returncode == code, said
        for _ in range(100):
            os.killpg(child.pid, 0)
            time.sleep(0.1)
        raise AssertionError("a process of the run stayed behind")
    except ProcessLookupError:
        return said
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("number", "args"),
    [
        (signal.SIGTERM, ["--data.num_workers", "1"]),
        (signal.SIGHUP, []),
        (signal.SIGUSR1, ["on SLURM"]),
        (signal.SIGTERM, ["--trainer.devices", "2", "--trainer.strategy", "ddp"]),
    ],
    ids=["SIGTERM to all, with what reads ahead", "SIGHUP", "SIGUSR1 on SLURM", "SIGTERM to the main one of two"],
)
def test_a_signal_saves_a_step_and_ends_with_its_number(tmp_path, monkeypatch, number, args):
    if args == ["on SLURM"]:  # as Lightning knows it
        for name, value in {"NTASKS": 1, "PROCID": 0, "LOCALID": 0, "NODEID": 0, "JOB_ID": 1, "JOB_NAME": "a"}.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))
        args = []
    child = begin(tmp_path / "run", *args)
    if "--data.num_workers" in args:
        os.killpg(child.pid, number)
    else:
        child.send_signal(number)
    said = ended(child, 128 + number)
    step = re.search(r"stopped in stage 1/1; the same command goes on from step (\d+) of 100000\n", said)
    assert step, said
    assert said.endswith("kovocab fit: stopped\n")
    assert "Traceback" not in said
    saved = torch.load(tmp_path / "run/stages/.1" / LAST, weights_only=True)
    assert saved["global_step"] == int(step[1])
    assert {path.name for path in (tmp_path / "run/stages").iterdir()} == {".1"}
    assert list(tmp_path.rglob("hpc_ckpt*")) == []  # Lightning's own, which it would go on from


def test_a_terminal_that_is_gone_takes_no_step_with_it(tmp_path):
    ours, theirs = pty.openpty()
    child = begin(tmp_path / "run", stderr=theirs)
    os.close(theirs)
    os.close(ours)  # from here on each line that is written is an error
    before = torch.load(tmp_path / "run/stages/.1" / LAST, weights_only=True)["global_step"]
    child.send_signal(signal.SIGHUP)
    ended(child, 129)
    assert torch.load(tmp_path / "run/stages/.1" / LAST, weights_only=True)["global_step"] >= before
    assert {path.name for path in (tmp_path / "run/stages").iterdir()} == {".1"}
    assert Path(tmp_path / "run/stages/.1/settings.json").exists()
