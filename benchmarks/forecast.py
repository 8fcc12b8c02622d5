"""What `kovocab plan` forecasts for what `freezing.py` measures: the same model, batch and stages."""

import argparse
import tempfile
from collections.abc import Iterator

import torch

from freezing import NEW, OLD, configuration
from kovocab.machine.gpus import GPUS, MFU
from kovocab.planning.costs import Skeleton
from kovocab.planning.setup import Machine, Setup
from kovocab.stages import STAGES
from measuring import Row


def measured(arguments: argparse.Namespace, gpu: str | None) -> Iterator[Row]:
    """A row for each stage: bytes at its peak, and tokens a second on a `gpu` that is known."""
    with tempfile.TemporaryDirectory() as folder:
        configuration(arguments, rows=OLD).save_pretrained(folder)
        skeleton = Skeleton(folder, NEW, torch.float32)
    compute = torch.bfloat16 if arguments.device == "cuda" else torch.float32
    setup = Setup(
        arguments.batch, arguments.length, compute, autocast=arguments.device == "cuda", device=arguments.device
    )
    machine = Machine(1, GPUS[gpu] if gpu else None, 0, MFU)
    for number in arguments.stages:
        cost = skeleton.cost(STAGES["eeve"][number - 1], setup, torch.optim.AdamW)
        hours = machine.hours(1, cost.work)
        yield {"stage": number, "peak": cost.peak, "tokens_per_second": 1 / (hours * 3600) if hours else None}
