"""What the check of what is frozen costs, against a training step: time, and memory beside the model.

python benchmarks/verifying.py [--hidden 512 --layers 8]
"""

import argparse
import resource
import statistics
import time

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from kovocab.digest import digest
from kovocab.freezing import freeze
from kovocab.split_rows import split_rows
from kovocab.stages import STAGES

parser = argparse.ArgumentParser()
parser.add_argument("--hidden", type=int, default=512)
parser.add_argument("--layers", type=int, default=8)
parser.add_argument("--rows", type=int, default=40_960)
parser.add_argument("--new", type=int, default=8_960)
parser.add_argument("--tokens", type=int, default=512)
parser.add_argument("--rounds", type=int, default=5)
asked = parser.parse_args()

torch.set_num_threads(1)
digest(torch.ones(1))
big = torch.ones(100_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
digest(big)
beside = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(f"memory beside a tensor of 400 MB: {beside / 1024:.1f} MiB\n")
del big
config = LlamaConfig(
    vocab_size=asked.rows,
    hidden_size=asked.hidden,
    intermediate_size=4 * asked.hidden,
    num_hidden_layers=asked.layers,
    num_attention_heads=8,
)
model = split_rows(AutoModelForCausalLM.from_config(config, dtype=torch.float32), asked.rows - asked.new).train()
ids = torch.randint(asked.rows, (2, asked.tokens // 2))
print("| stage | frozen MB | check s | step s | check / step | GB/s |\n|---|---:|---:|---:|---:|---:|")
for number, stage in enumerate(STAGES["eeve"], start=1):
    freeze(torch.nn.ModuleDict({"model": model}), stage.patterns)
    frozen = [p for p in model.parameters() if not p.requires_grad]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    checks, steps = [], []
    for _ in range(asked.rounds):
        start = time.process_time()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        steps.append(time.process_time() - start)
        start = time.process_time()
        for parameter in frozen:
            digest(parameter)
        checks.append(time.process_time() - start)
    check, step = statistics.median(checks), statistics.median(steps)
    size = sum(p.nbytes for p in frozen)
    row = (number, f"{size / 1e6:,.0f}", f"{check:.3f}", f"{step:.3f}", f"{check / step:.2f}")
    print(f"| {' | '.join(map(str, row))} | {size / 1e9 / max(check, 1e-9):.1f} |", flush=True)
