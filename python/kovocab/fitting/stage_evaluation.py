"""Bits per byte of each source's held-out text at the end of a stage, on all processes together."""

import math
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from kovocab.data.mix import Mixture
from kovocab.errors import CorpusError, ModelError
from kovocab.evaluating.fertility import Spelled, spelled, text_reference
from kovocab.evaluating.texts import Budget, held_out
from kovocab.evaluating.windows import check_context
from kovocab.fitting.callbacks import Losses
from kovocab.fitting.trainers import guarded, say
from kovocab.measuring.scoring import batches
from kovocab.measuring.subject import start_of
from kovocab.model.causal_lm import CausalLM
from kovocab.model.cross_entropy import IGNORE
from kovocab.record import Record


@dataclass(frozen=True)
class _Source:
    name: str
    documents: list[Spelled]


class StageEvaluation(Callback):
    """Measures a stage where it ends: what `kovocab evaluate` measures of its artefact.

    Each process scores its share of the batches, and all call the model equally often, as shards want it.

    Args:
        data: What the stage is trained on.
        budget: How much text of each source; None: nothing is measured.

    Attributes:
        found: What the stage's record says of it; None before it is measured.
    """

    def __init__(self, data: Mixture, budget: Budget | None) -> None:
        self._data, self._budget = data, budget
        self.found: Record | None = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, if it is the end of the stage."""
        if self._budget is not None and trainer.global_step >= trainer.max_steps:
            self.measure(trainer, pl_module, self._budget)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure where validation stands alone: behind a stage that had nothing left to train."""
        if self._budget is not None and self.found is None and trainer.state.fn == TrainerFn.VALIDATING:
            self.measure(trainer, pl_module, self._budget)

    def after(self, trainer: Trainer, module: CausalLM, losses: Losses) -> None:
        """Measure what was not measured: a stage that was stopped behind its last step never comes to its end.

        The held-out loss of the batch that this takes is none of the stage's.
        """
        if self._budget is not None and self.found is None:
            limit, val, step = trainer.limit_val_batches, losses.val, losses.val_step
            trainer.limit_val_batches = 1
            guarded(trainer.validate, module, datamodule=self._data, verbose=False)
            trainer.limit_val_batches, losses.val, losses.val_step = limit, val, step

    @torch.no_grad()
    def measure(self, trainer: Trainer, module: LightningModule, budget: Budget) -> None:
        """Measure as things stand now, in the midst of a stage too; what comes of it is `found`.

        Raises:
            ModelError: a loss is no number.
        """
        config: Any = module.loaded.config if isinstance(module, CausalLM) else None
        start = start_of(self._data.tokenizer)
        most = getattr(config.get_text_config(), "max_position_embeddings", None)
        context, stride = check_context(None, None, len(start), most)
        modes = [(part, part.training) for part in module.modules()]
        module.eval()
        sources = {}
        for source in self._sources(budget):
            nats = self._nats(trainer, module, source, start, context, stride)
            size = sum(document.bytes for document in source.documents)
            sources[source.name] = {
                "documents": len(source.documents),
                "bytes": size,
                "tokens": sum(len(document.ids) for document in source.documents),
                "nats": nats,
                "bits_per_byte": nats / math.log(2) / size,
            }
        for part, training in modes:
            part.training = training
        said = {f"bits_per_byte/{name}": each["bits_per_byte"] for name, each in sources.items()}
        for logger in trainer.loggers:
            logger.log_metrics(said, step=trainer.global_step)
        self.found = {
            "documents": budget.documents,
            "bytes": budget.bytes,
            "context": context,
            "stride": stride,
            "sources": sources,
        }

    def _sources(self, budget: Budget) -> list[_Source]:
        reference, found = text_reference(self._data.tokenizer), []
        for packed in self._data.packed:
            name = packed.record["source"]
            try:
                text = held_out(packed.folder, name, budget)
            except CorpusError as error:
                say(f"not measured: {error}")
            else:
                found.append(_Source(name, list(spelled(text.documents.to_list(), reference))))
        return found

    def _nats(
        self, trainer: Trainer, module: LightningModule, source: _Source, start: list[int], context: int, stride: int
    ) -> float:
        strategy = trainer.strategy
        tokens = self._data.batch_size * self._data.packing.length
        parts = list(batches([document.ids for document in source.documents], start, context, stride, tokens))
        world, device = trainer.world_size, strategy.root_device
        own = list(islice(parts, trainer.global_rank, None, world))
        total = torch.zeros((), dtype=torch.float64)
        for turn in range(math.ceil(len(parts) / world)):
            batch = own[turn] if turn < len(own) else parts[-1]
            targets = batch.targets if turn < len(own) else torch.full_like(batch.targets, IGNORE)
            with trainer.precision_plugin.forward_context():
                loss = module(batch.input_ids.to(device), targets=targets.to(device))
            total += loss.double().cpu() * (targets != IGNORE).sum()
        if world > 1:
            total = strategy.reduce(total.to(device), reduce_op="sum").cpu()
        if not math.isfinite(total.item()):
            raise ModelError(f"the loss of {source.name} is no number at the end of the stage")
        return float(total)
