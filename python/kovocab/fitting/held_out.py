"""`kovocab validate | test | predict`: a model on the held-out blocks."""

import math
from itertools import islice
from pathlib import Path

import polars as pl
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from kovocab.artefact import check_file, check_table, mark, new_file
from kovocab.data.mix import Mixture
from kovocab.errors import ModelError, UsageError, quantity
from kovocab.fitting.callbacks import HeldOutLines
from kovocab.fitting.checks import check_model, check_start
from kovocab.fitting.trainers import guarded, new_trainer, say
from kovocab.model.causal_lm import CausalLM
from kovocab.model.tensor_files import weight_files
from kovocab.ownership import identity, parquet_of
from kovocab.record import Record
from kovocab.run.configuration import Configuration
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer

_OUT = "file of predictions"


def evaluate(configuration: Configuration, verb: str) -> None:
    """Run validate, test or predict on the model folder that the configuration names.

    Raises:
        KovocabError: what the user got wrong.
        KeyboardInterrupt: Ctrl-C.
    """
    out = Path(configuration.config.predictions)
    if verb == "predict":
        check_file(out, parquet_of("predict"), _OUT)
    module, data = configuration.build()
    module.qlora = None  # what a stage leaves is plain
    check_model(Path(module.folder), data)
    lines: list[Callback] = [] if configuration.shows_bar else [HeldOutLines(verb)]
    trainer = new_trainer(configuration, lines, logger=False, enable_checkpointing=False)
    check_start(Path(module.folder))
    data.check()
    if verb == "predict":
        weights = {path.name: identity(path, sample=True) for path in weight_files(module.folder)}
        made_from: Record = {
            "weights": weights,
            "sources": data.identity()["sources"],
            "batches": trainer.limit_predict_batches,
        }
        check_table(out, "predict", _OUT, made_from, overwrite=configuration.config.overwrite)
        _predict(trainer, module, data, out, made_from)
        return
    results = guarded(getattr(trainer, verb), module, datamodule=data, verbose=False)
    if not results:
        raise UsageError(f"trainer's limits leave nothing to {verb}; wanted some batches")
    for name, value in results[0].items():
        say(f"{name} {value:.6f}")
    if none := [name for name, value in results[0].items() if not math.isfinite(value)]:
        raise ModelError(f"{none[0]} of {module.folder} is no number: its weights, or trainer.precision, give none")


def _predict(trainer: Trainer, module: CausalLM, data: Mixture, path: Path, made_from: Record) -> None:
    """Write a row for each held-out block: source, block, loss (nats per token), text."""
    if trainer.world_size > 1:
        raise UsageError(f"predict runs on 1 device, and the trainer's settings give {trainer.world_size}")
    with new_file(path) as beside:
        outputs = guarded(trainer.predict, module, datamodule=data)
        if not outputs:
            raise UsageError(f"trainer.limit_predict_batches is {trainer.limit_predict_batches}; wanted some batches")
        losses = torch.cat([output["loss"] for output in outputs])
        rows = list(islice(data.held_out(), len(losses)))
        reference = Reference(load_tokenizer(data.tokenizer))
        pl.DataFrame(
            {
                "source": [source for source, _, _ in rows],
                "block": [block for _, block, _ in rows],
                "loss": losses.tolist(),
                "text": [reference.decode(ids, special=False) for _, _, ids in rows],
            }
        ).write_parquet(beside, metadata=mark("predict", made_from))
    say(f"{len(rows)} blocks, mean loss {losses.mean():.6f}, in {path}")
    if none := int((~torch.isfinite(losses)).sum()):
        raise ModelError(
            f"the loss of {quantity(none, 'block')} in {path} is no number: the weights of {module.folder}, or "
            "trainer.precision, give none"
        )
