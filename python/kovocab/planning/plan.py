"""`kovocab plan`: what each stage of a fit would cost, from the files that fit reads.

Nothing of the data is opened, no weight is read and no GPU touched, so a run for eight GPUs is planned anywhere.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from jsonargparse import Namespace

from kovocab.artefact import Record
from kovocab.errors import UsageError
from kovocab.expanding.expand import check_length
from kovocab.machine import memory
from kovocab.machine.gpus import GPUS
from kovocab.model.causal_lm import CausalLM
from kovocab.model.qlora import no_shards, qlora_of
from kovocab.planning.costs import Cost, Setup, Skeleton
from kovocab.planning.machines import Machine
from kovocab.run.configuration import Configuration
from kovocab.run.stage_plan import StagePlan, plan
from kovocab.stages import Stage

SHARDED = "lightning.pytorch.strategies.ModelParallelStrategy"
REPLICATED = ("lightning.pytorch.strategies.DDPStrategy", "lightning.pytorch.strategies.SingleDeviceStrategy")
MOST_SHARDS = 1024
TRUE = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "bf16": torch.bfloat16, "16": torch.float16}
PARTS = ("weights", "gradients", "optimizer", "gathered", "activations", "step")


def forecast(configuration: Configuration) -> None:
    """Print what each stage costs: a table, or a JSON object a line.

    Raises:
        UsageError: a number or a combination of them that cannot be.
        ModelError: there is no model's configuration.
    """
    config = configuration.config
    trainer = config.trainer.clone()
    machine = _machine(config, trainer)
    # Their classes would look for devices, servers and packages, and a plan needs none.
    for key, unset in {"strategy": "auto", **dict.fromkeys(("logger", "callbacks", "plugins", "profiler"))}.items():
        config.trainer[key] = unset
    module, data = configuration.build()
    given = configuration.config_init
    skeleton = Skeleton(config.model.model, config.new_tokens, _dtype(trainer.precision, config.model.dtype))
    check_length(skeleton.model.config, data.packing.length)
    tokens = data.packing.length * data.batch_size * machine.devices * trainer.accumulate_grad_batches
    stages = plan(given.schedule, given.stages, given.defaults, tokens)
    whole = any(qlora_of(module.qlora, stage.stage) for stage in stages)  # on each device
    if whole and _strategy(trainer) == SHARDED:
        raise no_shards(SHARDED.rpartition(".")[2])
    setup = _setup(trainer, module, machine.devices, data, skeleton.dtype)
    costs = [skeleton.cost(stage.stage, setup, module.optimizer) for stage in stages]
    rows = [_row(stage, cost, machine, setup, tokens) for stage, cost in zip(stages, costs, strict=True)]
    if config.log == "json":
        for row in rows:
            print(json.dumps(row))
        return
    print(_header(config, skeleton, machine, setup if whole else replace(setup, qlora=None), tokens))
    print(_table(rows))
    for stage, row, cost in zip(stages, rows, costs, strict=True):
        if row["lacking"]:
            remedy = _remedy(stage.stage, setup, whole, skeleton, machine, module.optimizer)
            print(_lacking(stage, cost, machine) + remedy)


def _machine(config: Namespace, trainer: Namespace) -> Machine:
    name = config.gpu or (None if trainer.accelerator == "cpu" else "H100")
    if not 0 < config.mfu <= 1:
        raise UsageError(f"mfu is {config.mfu}; wanted a share of the GPU's peak, above 0 and at most 1")
    if name is not None and name not in GPUS:
        raise UsageError(f"gpu is {name}; wanted one of {', '.join(GPUS)}")
    gpu = None if name is None else GPUS[name]
    there = memory.bound(config.memory) if config.memory is not None else gpu.memory if gpu else memory.total()
    if trainer.num_nodes < 1:
        raise UsageError(f"trainer.num_nodes is {trainer.num_nodes}; wanted at least 1")
    return Machine(_devices(trainer.devices) * trainer.num_nodes, gpu, there, config.mfu)


def _devices(given: Any) -> int:
    """On a node; `auto` is one, for a plan does not look which there are."""
    if given == "auto":
        return 1
    listed = given if isinstance(given, list) else str(given).strip(",").split(",")  # "0,1" are two, and so is "2"
    number = int(given) if str(given).lstrip("-").isdecimal() else len(listed)
    if number < 1 or not all(str(one).strip().lstrip("-").isdecimal() for one in listed):
        raise UsageError(f"trainer.devices is {given}; wanted a number of devices to plan for")
    return number


def _strategy(trainer: Namespace) -> str:
    """Its name, or its class."""
    return str(trainer.strategy if isinstance(trainer.strategy, str) else trainer.strategy.class_path)


def _setup(trainer: Namespace, module: CausalLM, devices: int, data: Any, weights: torch.dtype) -> Setup:
    name, strategy, mixed = _strategy(trainer), trainer.strategy, MIXED.get(str(trainer.precision))
    init = {} if isinstance(strategy, str) else (strategy.get("init_args") or {})
    setup = Setup(
        batch_size=data.batch_size,
        length=data.packing.length,
        compute=mixed or weights,
        autocast=mixed is not None,
        checkpointing=module.activation_checkpointing,
        qlora=module.qlora,
        lora=TRUE.get(str(trainer.precision), torch.float32),
    )
    if name == SHARDED:
        sizes = init.get("data_parallel_size"), init.get("tensor_parallel_size")
        if sizes != (devices, 1):
            raise UsageError(
                f"trainer.strategy: data_parallel_size is {sizes[0]} and tensor_parallel_size {sizes[1]}; "
                f"wanted {devices} (all devices) and 1"
            )
        return replace(setup, shards=devices)
    if name != "auto" and not name.startswith("ddp") and name not in REPLICATED:
        raise UsageError(f"trainer.strategy: {name} is none that a plan knows; wanted auto, ddp or {SHARDED}")
    return replace(setup, buckets=devices > 1 and not init.get("gradient_as_bucket_view", False))


def _dtype(precision: Any, wanted: str) -> torch.dtype | None:
    """Of the weights in memory; None is as they were written."""
    return TRUE.get(str(precision)) or (None if wanted == "auto" else getattr(torch, wanted))


def _row(stage: StagePlan, cost: Cost, machine: Machine, setup: Setup, tokens_per_step: int) -> Record:
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


def _header(config: Namespace, skeleton: Skeleton, machine: Machine, setup: Setup, tokens: int) -> str:
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
        f"{machine.devices} x {name}, {_size(machine.memory)}{rate}: {spread}{again}; {setup.batch_size} x "
        f"{setup.length:,} tokens a device, {tokens:,} a step"
    )


def _table(rows: list[Record]) -> str:
    """Sizes are of one device."""
    kept = [part for part in (*PARTS, "peak") if any(row[part] for row in rows)]
    head = ["stage", "trains", "parameters", *kept, "FLOPs/token", "tokens", "hours"]
    lines = [head]
    for row in rows:
        hours = "-" if row["hours"] is None else f"{row['hours']:,.1f}"
        sizes = [_size(row[part]) for part in kept]
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


def _lacking(stage: StagePlan, cost: Cost, machine: Machine) -> str:
    """What does not fit, and at which of its parts the memory ends."""
    taken, ended = 0, ""
    for part, size in cost.peak_parts().items():
        taken += size
        if taken > machine.memory and not ended:
            ended = part
    return (
        f"stage {stage.number} does not fit: {_size(cost.peak)} on a device that has {_size(machine.memory)}, "
        f"{_size(cost.peak - machine.memory)} ({cost.peak - machine.memory:,} bytes) lacking; it ends in the {ended}"
    )


def _tries(stage: Stage, setup: Setup, whole: bool) -> Iterator[tuple[str, Setup]]:
    """What may make a stage fit, the least first: layers computed again, in 4 bits, over more and more devices.

    Args:
        stage: The stage.
        setup: What does not fit.
        whole: Whether layers are in 4 bits in some stage of the run, so that no device may hold a part.
    """
    again, checkpointing = "activation checkpointing", replace(setup, checkpointing=True)
    if not setup.checkpointing:
        yield again, checkpointing
    if whole and setup.qlora is not None and not qlora_of(setup.qlora, stage):
        every = replace(setup.qlora, every_stage=True)
        yield "model.qlora.every_stage", replace(setup, qlora=every)
        if not setup.checkpointing:
            yield f"model.qlora.every_stage and {again}", replace(checkpointing, qlora=every)
    shards = 2 * setup.shards
    while not whole and shards <= MOST_SHARDS:
        yield f"FSDP2 over {shards} devices and {again}", replace(checkpointing, shards=shards, buckets=False)
        shards *= 2


def _remedy(stage: Stage, setup: Setup, whole: bool, skeleton: Skeleton, machine: Machine, optimizer: Any) -> str:
    """The first of them that makes it fit."""
    for what, tried in _tries(stage, setup, whole):
        peak = skeleton.cost(stage, tried, optimizer).peak
        if peak <= machine.memory:
            return f"; with {what} it takes {_size(peak)}"
    if whole:
        return "; and nothing spreads a run with layers in 4 bits over devices: wanted a smaller batch_size or length"
    return f"; not over {MOST_SHARDS:,} devices either, with this batch_size and length"


def _size(size: int) -> str:
    unit = 0
    value = float(size)
    while value >= 1024 and unit < 3:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {('B', 'KiB', 'MiB', 'GiB')[unit]}" if unit else f"{size} B"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
