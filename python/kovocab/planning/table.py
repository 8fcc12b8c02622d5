"""What a plan says: a row a stage, all of them as a table, and what does not fit."""

import torch
from jsonargparse import Namespace

from kovocab.model.qlora import qlora_of
from kovocab.planning.costs import Cost, Skeleton
from kovocab.planning.setup import Machine, Setup
from kovocab.record import Record
from kovocab.run.stage_plan import StagePlan

PARTS = ("weights", "gradients", "optimizer", "gathered", "activations", "step")


def row_of(stage: StagePlan, cost: Cost, machine: Machine, setup: Setup, tokens_per_step: int) -> Record:
    """A stage in the JSON lines: sizes in bytes of one device, `hours` None where no GPU is planned for."""
    tokens = stage.steps * tokens_per_step
    return {
        "stage": stage.number,
        "trains": sorted(stage.stage.blocks),
        "layers_in_4_bits": qlora_of(setup.qlora, stage.stage) is not None,
        "parameters": cost.trained,
        **{part: getattr(cost, part) for part in PARTS},
        "peak": cost.peak,
        "memory": machine.memory,
        "lacking": max(0, cost.peak - machine.memory),
        "flops_per_token": cost.flops,
        "steps": stage.steps,
        "tokens": tokens,
        "hours": machine.hours(tokens, cost.work),
    }


def header(config: Namespace, skeleton: Skeleton, machine: Machine, setup: Setup, tokens: int) -> str:
    """The model, the machine and what each device does, in two lines."""
    parameters = sum(p.numel() for p in skeleton.model.parameters())
    spread = f"FSDP2 over {setup.shards}" if setup.shards > 1 else "DDP" if machine.devices > 1 else "one"
    name = config.gpu or ("H100" if machine.gpu else "this machine")
    rate = f", {machine.mfu:g} of its peak" if machine.gpu else ""
    again = ", activation checkpointing" if setup.checkpointing else ""
    low = (
        ""
        if setup.qlora is None
        else f", of layers in 4 bits {setup.qlora.compute_dtype}, LoRA of rank {setup.qlora.rank}"
    )
    return (
        f"{config.model.model}: {parameters:,} parameters, {len(skeleton.layers)} layers, {skeleton.rows:,} rows of "
        f"which {skeleton.rows - skeleton.first_new_id:,} new{', tied' if skeleton.tied else ''}; "
        f"weights {_name(skeleton.dtype)}, products {_name(setup.compute)}{low}\n"
        f"{machine.devices} x {name}, {readable(machine.memory)}{rate}: {spread}{again}; {setup.batch_size} x "
        f"{setup.length:,} tokens a device, {tokens:,} a step"
    )


def table(rows: list[Record]) -> str:
    """The rows, and the tokens and hours of all of them; sizes are of one device."""
    kept = [part for part in (*PARTS, "peak") if any(row[part] for row in rows)]
    head = ["stage", "trains", "parameters", *kept, "FLOPs/token", "tokens", "hours"]
    lines = [head]
    for row in rows:
        hours = "-" if row["hours"] is None else f"{row['hours']:,.1f}"
        sizes = [readable(row[part]) for part in kept]
        trains = "all" if len(row["trains"]) == 5 else ", ".join(row["trains"])
        if row["layers_in_4_bits"]:
            names = ("LoRA" if block == "layers" else block for block in row["trains"])
            trains = f"{', '.join(names)}; layers in 4 bits"
        work = f"{row['flops_per_token']:.3g}"
        lines.append([str(row["stage"]), trains, f"{row['parameters']:,}", *sizes, work, f"{row['tokens']:,}", hours])
    timed = [row["hours"] for row in rows if row["hours"] is not None]
    total = f"{sum(timed):,.1f}" if timed else "-"
    lines.append(["all", *[""] * (len(head) - 3), f"{sum(row['tokens'] for row in rows):,}", total])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    sides = ["<" if column == "trains" else ">" for column in head]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    )


def lacking(stage: StagePlan, cost: Cost, machine: Machine) -> str:
    """What does not fit, and at which of its parts the memory ends."""
    taken, ended = 0, ""
    for part, size in cost.peak_parts().items():
        taken += size
        if taken > machine.memory and not ended:
            ended = part
    return (
        f"stage {stage.number} does not fit: {readable(cost.peak)} on a device that has {readable(machine.memory)}, "
        f"{readable(cost.peak - machine.memory)} ({cost.peak - machine.memory:,} bytes) lacking; it ends in the {ended}"
    )


def readable(size: int) -> str:
    """A number of bytes in the largest unit of which there is one, to a tenth."""
    unit = 0
    value = float(size)
    while value >= 1024 and unit < 3:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {('B', 'KiB', 'MiB', 'GiB')[unit]}" if unit else f"{size} B"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
