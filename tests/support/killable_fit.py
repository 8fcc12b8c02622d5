"""`kovocab fit` of which a process kills itself before a batch, when the others are busy.

Run as `killable_fit.py STAGE BATCH RANK SETTINGS...`; Lightning starts the other processes by the same command line.
"""

import os
import signal
import sys
import time

import torch

from kovocab.cli import main as cli
from kovocab.fitting import callbacks

torch.set_num_threads(1)
before = callbacks.StepSeed.on_train_batch_start
stage, batch, rank = map(int, sys.argv[1:4])


def hook(self, trainer, module, data, index):
    if (self._stage, index) == (stage, batch):
        if trainer.global_rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)  # busy, so that no failing collective tells it
    before(self, trainer, module, data, index)


callbacks.StepSeed.on_train_batch_start = hook
sys.exit(cli.main(["fit", *sys.argv[4:]]))
