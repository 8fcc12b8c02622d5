#!/usr/bin/env bash
# lightning 2.6.6: on SLURM, the checkpoint of a requeued job is loaded into the next `Trainer.fit`, whatever it trains.
#
# Expected: a job that is told of its end (`sbatch --signal=USR1@90`) saves, is requeued, goes on, and is done with that
# checkpoint; a fit of something else, of which nothing was said to go on from, begins at its beginning.
# Seen 2026-11-28, lightning 2.6.6 and torch 2.13.0 on a CPU, SLURM's variables set: SIGUSR1 writes `hpc_ckpt_1.ckpt` into
# the trainer's folder, and nothing ever removes it. Every later fit in that folder without `ckpt_path` loads it first:
# the second stage, five steps from a weight of 200, trains no step and ends with the first stage's weights, in silence.
# For training in stages: give each stage a folder of its own, or take SIGUSR1 before Lightning does.
#> lightning 2.6.6 torch 2.13.0
#> stage 1, told of its end at step 6: ended; left ['hpc_ckpt_1.ckpt']
#> stage 1 again: steps 6 to 10, weight 110.0; left ['hpc_ckpt_1.ckpt']
#> stage 2: steps 6 to 6, weight 106.0; left ['hpc_ckpt_1.ckpt']
#> stage 2 in a folder of its own: steps 0 to 5, weight 205.0; left []
. "$(dirname "$0")/lib.sh"
environment env torch==2.13.0 lightning==2.6.6

# What ends a job and puts it back into the queue.
mkdir bin
printf '#!/bin/sh\nkill -9 "$TRAINS"\n' > bin/scontrol
chmod +x bin/scontrol

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
os.environ["TRAINS"] = str(os.getpid())
begin, steps, folder, told = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])


class Counter(LightningModule):
    """A weight that grows by one each step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([begin]))
        self.begun = None

    def on_fit_end(self):
        self.begun = self.trainer.global_step if self.begun is None else self.begun

    def training_step(self, batch, index):
        self.begun = self.trainer.global_step if self.begun is None else self.begun
        if self.trainer.global_step == told:
            os.kill(os.getpid(), signal.SIGUSR1)
        return -(self.weight * batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


module = Counter()
trainer = Trainer(
    accelerator="cpu", devices=1, max_steps=steps, logger=False, enable_checkpointing=False, default_root_dir=folder,
    enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(module, torch.utils.data.DataLoader(torch.ones(100, 1)))
print(f"steps {module.begun} to {trainer.global_step}, weight {module.weight.item()}")
PYTHON
cat > probe.py <<'PYTHON'
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

slurm = {"NTASKS": 1, "PROCID": 0, "LOCALID": 0, "NODEID": 0, "JOB_ID": 1, "JOB_NAME": "train"}
environment = os.environ | {f"SLURM_{name}": str(value) for name, value in slurm.items()}
environment["PATH"] = f"{Path('bin').absolute()}:{environment['PATH']}"
print("lightning", version("lightning"), "torch", version("torch").partition("+")[0])
for name, *args in (
    ("stage 1, told of its end at step 6", 100, 10, "one", 6),
    ("stage 1 again", 100, 10, "one", -1),
    ("stage 2", 200, 5, "one", -1),
    ("stage 2 in a folder of its own", 200, 5, "two", -1),
):
    run = subprocess.run([sys.executable, "train.py", *map(str, args)], capture_output=True, text=True, env=environment)
    left = [path.name for path in Path(args[2]).glob("hpc*")]
    print(f"{name}: {run.stdout.strip() or 'ended'}; left {left}")
PYTHON
env/bin/python probe.py > seen
unchanged
