#!/usr/bin/env bash
# lightning 2.6.6: a `Trainer.fit` that SIGTERM stops ends the process with exit code 0, and nothing behind it runs.
#
# Expected: what a scheduler or a container ends (`scancel`, a drained node) ends with 143, or raises, so that
# `train && publish` does not publish.
# Seen 2026-11-28, lightning 2.6.6 and torch 2.13.0 on a CPU: Lightning takes SIGTERM, finishes the batch and raises a
# `SystemExit` without a code. `except Exception` does not see it, `finally` does, no checkpoint is written, nothing is
# said, and the shell sees success. Ctrl-C, by the same script, ends with 1. A handler that the script set before is
# called, and what it does not raise changes nothing.
# For training in stages: the first stage that a scheduler ended looks like a run that is done; set your own handler
# behind Lightning's, or look at the number of steps.
#> lightning 2.6.6 torch 2.13.0
#> SIGTERM, no handler: said [], exit code 0
#> SIGTERM, with a handler: said ['my handler'], exit code 0
#> Ctrl-C: said [], exit code 1
#> not stopped: said ['behind fit'], exit code 0
. "$(dirname "$0")/lib.sh"
environment env torch==2.13.0 lightning==2.6.6

cat > train.py <<'PYTHON'
import logging
import os
import signal
import sys
import warnings

import torch
from lightning.pytorch import LightningModule, Trainer

warnings.simplefilter("ignore")
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.ERROR)
number, handler = int(sys.argv[1]), sys.argv[2] == "handler"
signal.signal(signal.SIGINT, signal.default_int_handler)
if handler:
    signal.signal(signal.SIGTERM, lambda *_: print("my handler", flush=True))


class Line(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, index):
        if index == 3 and number:
            os.kill(os.getpid(), number)
        return (self.weight * batch).square().sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


trainer = Trainer(
    accelerator="cpu", devices=1, max_steps=8, logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)
try:
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(8, 1)))
except Exception:
    print("an exception", flush=True)
print("behind fit", flush=True)
PYTHON
cat > probe.py <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

print("lightning", version("lightning"), "torch", version("torch").partition("+")[0])
for name, *args in (
    ("SIGTERM, no handler", "15", "-"),
    ("SIGTERM, with a handler", "15", "handler"),
    ("Ctrl-C", "2", "-"),
    ("not stopped", "0", "-"),
):
    run = subprocess.run([sys.executable, "train.py", *args], capture_output=True, text=True)
    said = [line for line in run.stdout.splitlines() if line]
    print(f"{name}: said {said}, exit code {run.returncode}")
PYTHON
env/bin/python probe.py > seen
unchanged
