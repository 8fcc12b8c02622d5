"""`kovocab fit` of which a process kills itself before a batch, when the others are busy.

Run as `killable_fit.py STAGE BATCH RANK SETTINGS...`, several of these with `--` between them: one run each.
Lightning starts the other processes by the same command line.
"""

import os
import signal
import sys
import time
from itertools import groupby

import torch

from kovocab import callbacks, cli

torch.set_num_threads(1)
before = callbacks.StepSeed.on_train_batch_start
for is_end, group in groupby(sys.argv[1:], "--".__eq__):
    if is_end:
        continue
    stage, batch, rank, *args = group

    def hook(self, trainer, module, data, index, at=(int(stage), int(batch), int(rank))):
        if (self._stage, index) == at[:2]:
            if trainer.global_rank == at[2]:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(600)  # busy, so that no failing collective tells it
        before(self, trainer, module, data, index)

    callbacks.StepSeed.on_train_batch_start = hook
    code = cli.main(["fit", *args])
sys.exit(code)
