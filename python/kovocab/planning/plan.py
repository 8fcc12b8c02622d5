"""`kovocab plan`: what each stage of a fit would cost, from the files that fit reads.

No weight is read and no GPU touched, so a run for eight GPUs is planned anywhere. Of the data that is at hand it is
seen that it can be read, as `fit` does before anything else; data that is not here is no fault of a plan.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from kovocab.expanding.expand import check_length
from kovocab.model.documents import check_family
from kovocab.model.qlora import no_shards, qlora_of
from kovocab.packing.source import check_sources
from kovocab.planning.costs import Skeleton
from kovocab.planning.forecast import forecast
from kovocab.planning.setup import SHARDED, Machine, Setup, machine_of, setup_of, strategy_of, weights_dtype
from kovocab.planning.table import header, lacking, readable, row_of, table
from kovocab.run.configuration import Configuration
from kovocab.run.stage_plan import check_tied, planned, stage_plans
from kovocab.stages import Stage

MOST_SHARDS = 1024


def plan(configuration: Configuration) -> None:
    """Print what each stage costs: a table, or a JSON object a line.

    Raises:
        UsageError: a number or a combination of them that cannot be.
        ModelError: there is no model's configuration, or it is tied and a stage would train one embedding without the
            other.
        CorpusError: a source is there, and has no such column or cannot be read.
    """
    config = configuration.config
    trainer = config.trainer.clone()
    machine = machine_of(config, trainer)
    # Their classes would look for devices, servers and packages, and a plan needs none.
    for key, unset in {"strategy": "auto", **dict.fromkeys(("logger", "callbacks", "plugins", "profiler"))}.items():
        config.trainer[key] = unset
    module, data = configuration.build()
    given = configuration.config_init
    dtype = weights_dtype(trainer.precision, config.model.dtype)
    skeleton = Skeleton(config.model.model, config.new_tokens, dtype, config.pad_to_multiple_of)
    check_length(skeleton.model.config, data.packing.length)
    if data.document_attention == "within":
        check_family(skeleton.model.config, config.model.model)
    tokens = data.packing.length * data.batch_size * machine.devices * trainer.accumulate_grad_batches
    stages = stage_plans(given.schedule, given.stages, given.defaults, tokens)
    data.plan(planned(stages, tokens // data.packing.length))
    for line in forecast(data, config.model.model, config.new_tokens):
        print(line, file=sys.stderr)
    check_sources(data.sources)
    if skeleton.tied:
        check_tied(config.model.model, stages)
    whole = any(qlora_of(module.qlora, stage.stage) for stage in stages)  # on each device
    if whole and strategy_of(trainer) == SHARDED:
        raise no_shards(SHARDED.rpartition(".")[2])
    setup = setup_of(trainer, module, machine.devices, data, skeleton.dtype)
    costs = [skeleton.cost(stage.stage, setup, module.optimizer) for stage in stages]
    rows = [row_of(stage, cost, machine, setup, tokens) for stage, cost in zip(stages, costs, strict=True)]
    if config.log == "json":
        for row in rows:
            print(json.dumps(row))
        return
    print(header(config, skeleton, machine, setup if whole else replace(setup, qlora=None), tokens))
    print(table(rows))
    for stage, row, cost in zip(stages, rows, costs, strict=True):
        if row["lacking"]:
            remedy = _remedy(stage.stage, setup, whole, skeleton, machine, module.optimizer)
            print(lacking(stage, cost, machine) + remedy)


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
            return f"; with {what} it takes {readable(peak)}"
    if whole:
        return "; and nothing spreads a run with layers in 4 bits over devices: wanted a smaller batch_size or length"
    return f"; not over {MOST_SHARDS:,} devices either, with this batch_size and length"
