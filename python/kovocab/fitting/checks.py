"""What `fit` refuses before it trains, since hours of work would be lost on it."""

import sys
from pathlib import Path
from typing import get_args

from jsonargparse import Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from transformers import AutoConfig

from kovocab.data.mix import Mixture
from kovocab.errors import ModelError, UsageError, model_errors
from kovocab.expanding.checks import check_rows, check_tokenizer
from kovocab.expanding.expand import Dtype, check_length
from kovocab.expanding.logits import check_loss
from kovocab.expanding.new_rows import INITIALISATION
from kovocab.expanding.spelling import BasePieces
from kovocab.fitting.trainers import say
from kovocab.freezing.callback import StageFreezing
from kovocab.model.causal_lm import CausalLM
from kovocab.model.documents import check_family
from kovocab.model.loading import dtype_of
from kovocab.model.qlora import check_qlora, no_shards, qlora_of
from kovocab.planning.setup import TRUE
from kovocab.record import check_files
from kovocab.run.folder import base_record
from kovocab.run.processes import rank
from kovocab.run.stage_plan import StagePlan, check_tied
from kovocab.tokenizer.tokenizer import load_tokenizer

MOST_PROCESSES = 1 << 20
"""On one machine, and machines: Lightning makes a list of them before it looks."""


MOST_TOKENS = 1 << 28
"""In a batch of a device, whose logits alone would be terabytes."""

INSTEAD = {
    GradientAccumulationScheduler: "steps and tokens are planned by trainer.accumulate_grad_batches",
    StageFreezing: "the schedule says what trains",
}
"""Callbacks for which a run has settings, and these."""


def check_trainer(config: Namespace) -> None:
    """The trainer's settings leave the length of a stage to the stage.

    Raises:
        UsageError: names the one that does not.
    """
    others = ("max_epochs", "max_time", "min_steps", "min_epochs", "limit_train_batches")
    for key, unset in {"max_steps": -1, "fast_dev_run": False, "overfit_batches": 0.0, **dict.fromkeys(others)}.items():
        if config.trainer[key] != unset:
            raise UsageError(
                f"trainer.{key} is {config.trainer[key]}; wanted the length of a stage in stages or defaults"
            )
    for key in ("devices", "num_nodes"):
        value = str(config.trainer[key])  # "2" is a number to Lightning, too
        if value.isdecimal() and int(value) > MOST_PROCESSES:
            raise UsageError(f"trainer.{key} is {value}; wanted at most {MOST_PROCESSES:,}")
    trainer = config.trainer
    if trainer.enable_checkpointing is False:
        raise UsageError("trainer.enable_checkpointing is false; wanted it left out: a run goes on from checkpoints")
    if trainer.gradient_clip_val is not None and not trainer.gradient_clip_val >= 0:  # NaN, too
        raise UsageError(f"trainer.gradient_clip_val is {trainer.gradient_clip_val}; wanted 0 or more, or null")
    epochs = trainer.check_val_every_n_epoch
    if epochs is not None and epochs < 1:
        raise UsageError(f"trainer.check_val_every_n_epoch is {epochs}; wanted at least 1, or limit_val_batches: 0")
    interval = trainer.val_check_interval
    if isinstance(interval, int | float) and interval <= 0:
        raise UsageError(f"trainer.val_check_interval is {interval}; wanted a number above 0, or limit_val_batches: 0")
    if config.checkpoint_every < 1:
        raise UsageError(f"checkpoint_every is {config.checkpoint_every}; wanted at least 1 step")
    for key in ("evaluate_documents", "evaluate_bytes"):
        if config[key] is not None and config[key] < 1:
            raise UsageError(f"{key} is {config[key]}; wanted at least 1")


def check_callbacks(callbacks: list[Callback]) -> None:
    """None of the user's callbacks does what a stage's own settings say.

    Raises:
        UsageError: names the one that does.
    """
    for kind, instead in INSTEAD.items():
        if any(isinstance(callback, kind) for callback in callbacks):
            raise UsageError(f"trainer.callbacks has a {kind.__name__}; wanted none: {instead}")


def check_precision(module: CausalLM, trainer: Trainer) -> None:
    """The trainer's precision is no other dtype than the weights': Lightning would round what is frozen with the rest.

    Raises:
        UsageError: it is.
        ModelError: the model's folder cannot be read.
    """
    if (wanted := TRUE.get(trainer.precision)) is None:
        return
    if wanted != (found := dtype_of(Path(module.folder), module.dtype_wanted)):
        name, names = (str(dtype).removeprefix("torch.") for dtype in (wanted, found))
        own = f", or model.dtype {name}" if name in get_args(Dtype) else ""
        raise UsageError(
            f"trainer.precision is {trainer.precision}, and the weights are {names}: frozen ones would be changed with "
            f"the rest; wanted 32-true or bf16-mixed{own}"
        )


def check_model(folder: Path, data: Mixture) -> None:
    """The model has a row for each token, a position for each of a block, and a loss that is known here.

    Raises:
        ArtefactError, ModelError: it is no artefact to start from, has too few rows, adds to its loss, is not what
            its record says, or cannot keep documents apart where that is asked for.
        UsageError: blocks are too long, or a batch has too many.
    """
    record = base_record(folder)
    rows, tokens = record["vocab_size"], load_tokenizer(data.tokenizer).size
    if tokens > rows:
        raise ModelError(
            f"the tokenizer in {data.tokenizer} has {tokens:,} tokens and the model {rows:,} rows; "
            "wanted a row for each"
        )
    check_tokenizer(folder, record, load_tokenizer(folder / "tokenizer.json"))
    with model_errors(f"the model {folder} cannot be loaded"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    check_rows(config, folder, record)
    check_loss(config, folder)
    check_length(config, data.packing.length)
    if data.batch_size * data.packing.length > MOST_TOKENS:
        raise UsageError(
            f"data.batch_size is {data.batch_size:,}, of blocks of {data.packing.length:,} tokens; wanted at most "
            f"{MOST_TOKENS:,} tokens in a batch"
        )
    if data.document_attention == "within":
        check_family(config, folder)


def check_start(folder: Path) -> None:
    """What a stage starts from, or what is measured, is what was written there: all of its weights are hashed.

    Once a run, on one process: where that finds something else, the others end with it.

    Raises:
        ArtefactError: names the file that is another.
    """
    if rank() == 0:
        check_files(folder, base_record(folder))


def check_base_tied(folder: Path, stages: list[StagePlan]) -> None:
    """Where both embeddings are one matrix, by the record of `expand`, a stage trains the same rows of both.

    Raises:
        ModelError: as `check_tied`.
    """
    record = base_record(folder)
    while record["verb"] == "fit":
        record = record["base"]
    if record.get("tied"):
        check_tied(folder, stages)


def check_labels(folder: Path, stages: list[StagePlan], done: int) -> None:
    """The base pieces are there if a stage needs them; a word where plain labels name rows that mean nothing yet.

    Raises:
        ModelError: they are not, or are of another vocabulary.
    """
    record = base_record(folder)
    if any(stage.label_mode != "plain" for stage in stages[done:]):
        BasePieces.read(folder, record["first_new_id"]).check(load_tokenizer(folder))
    begun = False  # whether some stage has trained the output rows
    while record["verb"] == "fit":
        ran = [stage["settings"]["stage"] for stage in (*record["earlier"], record)]
        begun, record = begun or any(stage["output_rows"] != "none" for stage in ran), record["base"]
    made = record.get("initialisation", {}).get("output", "not on record")
    for stage in stages:
        begun = begun or stage.stage.output_rows != "none"
        if not begun and stage.label_mode == "plain" and stage.number > done and made != INITIALISATION["output"]:
            say(
                f"warning: stage {stage.number} trains with plain labels, and the output rows of new tokens are "
                f"not those of their first pieces (expand's rule: {made}); see label_mode",
                file=sys.stderr,
            )
            return


def check_qlora_stages(module: CausalLM, stages: list[StagePlan], trainer: Trainer) -> None:
    """What QLoRA needs is there, before a stage is trained that leads to one in 4 bits.

    Raises:
        UsageError: a package is missing, or the strategy shards.
        ModelError: see `check_qlora`.
    """
    if module.qlora is None or not any(qlora_of(module.qlora, stage.stage) for stage in stages):
        return
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        raise no_shards(type(trainer.strategy).__name__)
    check_qlora(module.folder, module.qlora)
