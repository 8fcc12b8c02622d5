"""The LightningModule: next-token training of an expanded model in two blocks of rows.

`forward` returns the loss, so DDP and `fully_shard` wrap one root module and nothing reaches round it. Which
blocks train is not decided here: `StageFreezing` sets the flags, and this module asks them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule
from torch.nn import functional
from transformers import PreTrainedModel

from kovocab.errors import ArtefactError, ModelError, UsageError, model_errors
from kovocab.expanding.expand import Dtype
from kovocab.expanding.logits import LogitForm
from kovocab.expanding.split_rows import SplitLinear, block_of, split_rows
from kovocab.model.cross_entropy import IGNORE, cross_entropy, token_losses
from kovocab.model.documents import check_documents, respelled
from kovocab.model.fsdp import data_mesh, decoder_layers, shard
from kovocab.model.loading import load_split
from kovocab.model.qlora import QLoRA, add_lora, load_4bit
from kovocab.record import read_model
from kovocab.stages import Block, LabelMode

if TYPE_CHECKING:
    from kovocab.expanding.spelling import BasePieces

Batch = dict[str, Tensor]
"""`input_ids`: int64, `[batch, length]`; and `position_ids`, as many, where documents do not see each other."""


class CausalLM(LightningModule):
    """A causal language model with both embeddings in two blocks, trained on packed token ids.

    Learning rate, stage and the like are no hyperparameters of a checkpoint: Lightning's CLI lets those
    override the command line when it resumes.

    Args:
        model: Folder left by `kovocab expand` or by a stage of `kovocab fit`.
        optimizer: Makes the optimizer from the parameters that train.
        scheduler: Makes the schedule from the optimizer; stepped once an optimizer step.
        dtype: Of the weights in memory; `auto` is as they were written.
        activation_checkpointing: Keep only the input of each decoder layer for the backward pass and compute the
            layer again there: a third more time, far less memory, the same gradients.
        qlora: Hold the layers in 4 bits and train LoRA in their place; without it they are as they were written.
        compiler: The backend of `torch.compile` for each decoder layer, `inductor` say; by default none.

    Raises:
        UsageError: there is no such `compiler`.

    Attributes:
        label_mode: What `training_step` trains towards. Held-out losses are those of the next token, always.
    """

    def __init__(
        self,
        model: str,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable | None = None,
        dtype: Dtype = "auto",
        activation_checkpointing: bool = False,
        qlora: QLoRA | None = None,
        compiler: str | None = None,
    ) -> None:
        super().__init__()
        self.folder = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.dtype_wanted: Dtype = dtype
        self.activation_checkpointing = activation_checkpointing
        self.qlora = qlora
        if compiler is not None and compiler not in torch.compiler.list_backends(exclude_tags=()):
            raise UsageError(f"model.compiler is {compiler}; wanted one of {', '.join(torch.compiler.list_backends())}")
        self.compiler = compiler
        self.lora = True  # fit says of a stage that leaves the layers frozen that it needs none
        self._head_checked = self._documents_checked = False
        self.model: PreTrainedModel | None = None
        self.label_mode: LabelMode = "plain"

    def configure_model(self) -> None:
        """Load the model and split its rows; the second time there is nothing to do.

        Under `ModelParallelStrategy` it is sharded over the data-parallel mesh (FSDP2) before it is loaded, and
        `trainer.precision: bf16-mixed` means there that weights are gathered in bf16 and gradients reduced in fp32.

        Raises:
            UsageError: the strategy's mesh does not shard over all processes.
            ArtefactError: the folder is no artefact of expand or fit, or its record is damaged.
            ModelError: the model cannot be loaded, or its loss is not one that can be computed here.
            UsageError: `qlora` is given and what it needs is not installed.
        """
        if self.model is not None:
            return
        record = read_model(self.folder)
        mesh = data_mesh(self.device_mesh)
        if self.qlora is None:
            sharded = None if mesh is None else partial(self._shard, mesh=mesh)
            device = self.device if self._trainer is None else self._trainer.strategy.root_device
            self.model = load_split(Path(self.folder), record["first_new_id"], self.dtype_wanted, device, sharded)
        elif mesh is None:
            loaded = load_4bit(str(Path(self.folder)), self.dtype_wanted, self.qlora)
            self.model = split_rows(loaded, record["first_new_id"])
            self.model.train()  # Lightning leaves the mode as it is, and in eval mode there is no dropout
        else:
            raise UsageError("model.qlora: 4-bit layers are not sharded; wanted one device, or trainer.strategy ddp")
        if self.activation_checkpointing:
            _checkpoint_activations(self.model)
        if mesh is None:  # else it takes the root's forward, see there
            self._check_head()
        if self.qlora is not None:
            if self.lora:
                add_lora(self.model, self.qlora)
            self.strict_loading = False  # a checkpoint holds what trains, see on_save_checkpoint
        if self.compiler is not None:
            for layer in decoder_layers(self.model):  # they are alike, and compiled once
                layer.compile(backend=self.compiler)

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor | None = None,
        label_mode: LabelMode = "plain",
        position_ids: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """The mean loss (scalar, fp32) with `labels` or `targets`, else the logits `[batch, length, rows]`.

        Args:
            input_ids: `[batch, length]`, int64.
            labels: As `input_ids`, and shifted here; -100 where there is no loss.
            label_mode: What of the labels counts, see `kovocab.stages.LabelMode`; with `distill`, nothing.
            position_ids: As `input_ids`; each 0 begins a document, which sees none before it and is no label of
                theirs. None: all is one.
            targets: In place of labels, what follows each token, not shifted here.

        Raises:
            ModelError: `label_mode` needs the base pieces of new tokens, and the model's folder has none; the model
                lets documents see each other.
        """
        if not self._head_checked:
            self._check_head()
        if position_ids is not None and not self._documents_checked:
            self._documents_checked = True
            check_documents(self.loaded)
        if targets is not None:
            states = self._hidden(input_ids, position_ids).flatten(0, 1)
            return cross_entropy(states, self._head, targets.flatten(), form=self._form)
        if labels is None:
            return cast("Tensor", self.loaded(input_ids=input_ids, use_cache=False, **_at(position_ids)).logits)
        if label_mode == "distill":
            return self._distance(input_ids, position_ids)
        hidden, wanted = self._hidden(input_ids, position_ids).flatten(0, 1), _shifted(labels, position_ids).flatten()
        if label_mode != "plain":
            wanted = self._pieces.first(wanted)
        return cross_entropy(hidden, self._head, wanted, form=self._form, old_vocab=label_mode == "old_vocab")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """The loss of a batch, logged as `loss/train`."""
        return self._logged_loss(batch, "loss/train", self.label_mode)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """The loss of a batch, its mean over the held-out split logged as `loss/val`."""
        return self._logged_loss(batch, "loss/val")

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """The loss of a batch, its mean logged as `loss/test`."""
        return self._logged_loss(batch, "loss/test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """The mean next-token loss of each sequence: `loss`, `[batch]`, fp32; 0 of one without labels."""
        input_ids, position_ids = batch["input_ids"], batch.get("position_ids")
        wanted = _shifted(input_ids, position_ids)
        hidden = self._hidden(input_ids, position_ids).flatten(0, 1)
        losses = token_losses(hidden, self._head, wanted.flatten(), form=self._form)
        return {"loss": losses.view(input_ids.shape).sum(dim=-1) / (wanted != IGNORE).sum(dim=-1).clamp(min=1)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer of what trains, and of nothing else, with its schedule.

        Raises:
            UsageError: a number that one of them refuses.
        """
        with _refusals("model.optimizer"):
            optimizer = self.optimizer([p for p in self.parameters() if p.requires_grad])
        if self.scheduler is None:
            return optimizer
        with _refusals("model.scheduler"):
            scheduler = self.scheduler(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Lightning's; some schedules look at their numbers only now.

        Raises:
            UsageError: a number that it refuses.
        """
        with _refusals("model.scheduler"):
            super().lr_scheduler_step(scheduler, metric)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """With 4-bit layers, keep what trains: the rest comes from the folder, and loads from nowhere else."""
        if self.qlora is not None:
            trained = self._trained
            checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in trained}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """With 4-bit layers, see that what trains is there and nothing else.

        Raises:
            ArtefactError: it is not.
        """
        if self.qlora is not None and (other := self._trained ^ checkpoint["state_dict"].keys()):
            raise ArtefactError(
                f"the checkpoint and what trains here differ in {len(other)} parameters, the first {min(other)}; "
                "wanted a checkpoint of the same stage and the same model.qlora"
            )

    @property
    def _trained(self) -> set[str]:
        return {name for name, parameter in self.named_parameters() if parameter.requires_grad}

    @property
    def loaded(self) -> PreTrainedModel:
        """The model with split rows.

        Raises:
            ModelError: `configure_model` has not run.
        """
        if self.model is None:
            raise ModelError(f"the model of {self.folder} is not loaded yet; call configure_model() first")
        return self.model

    @property
    def trainable_blocks(self) -> frozenset[Block]:
        """The blocks that have a parameter that trains."""
        return frozenset(block_of(name) for name, p in self.named_parameters() if p.requires_grad)

    @property
    def is_sharded(self) -> bool:
        """Whether the parameters are divided over the processes (FSDP2)."""
        return isinstance(self, FSDPModule)

    @property
    def _head(self) -> SplitLinear:
        return cast("SplitLinear", self.loaded.get_output_embeddings())  # type: ignore[no-untyped-call]

    @cached_property
    def _form(self) -> LogitForm:
        return LogitForm.of(self.loaded.config)

    def _hidden(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """The last hidden state, `[batch, length, hidden]`; no autograd if nothing below the output trains.

        With every flag below the output off, autograd records nothing by itself; the guard keeps it so where
        gradient checkpointing or `enable_input_require_grads` would start a graph all the same.
        """
        body = self.loaded.base_model
        below = any(parameter.requires_grad for parameter in body.parameters())
        with torch.set_grad_enabled(below and torch.is_grad_enabled()):
            output = body(input_ids=input_ids, use_cache=False, **_at(position_ids))
            return cast("Tensor", output.last_hidden_state)

    @cached_property
    def _pieces(self) -> "BasePieces":
        from kovocab.expanding.spelling import BasePieces  # with Polars, which plain labels do without

        return BasePieces.read(self.folder, read_model(self.folder)["first_new_id"])

    def _distance(self, input_ids: Tensor, position_ids: Tensor | None) -> Tensor:
        """The mean squared difference of the last hidden states with the old and the new spelling (scalar, fp32).

        Where nothing but new input rows trains, this model is its own teacher: with old tokens alone it is the
        base, and stays so. Compared is where tokens end, since there both have read the same text.
        """
        body = self.loaded.base_model
        old_ids, ends = self._pieces.spell(input_ids, getattr(self.loaded.config, "max_position_embeddings", None))
        there = ends < old_ids.shape[1]
        old_positions = None if position_ids is None else respelled(position_ids, ends, old_ids.shape[1])
        was_training = body.training
        with torch.no_grad():  # and no dropout
            body.eval()
            wanted = self._hidden(old_ids, old_positions)
            body.train(was_training)
        ends = ends.clamp(max=old_ids.shape[1] - 1).unsqueeze(-1).expand(-1, -1, wanted.shape[-1])
        difference = self._hidden(input_ids, position_ids).float() - wanted.gather(1, ends).float()
        return (difference.square().mean(dim=-1) * there).sum() / there.sum()

    def _logged_loss(self, batch: Batch, name: str, label_mode: LabelMode = "plain") -> Tensor:
        input_ids = batch["input_ids"]
        loss = cast("Tensor", self(input_ids, input_ids, label_mode, batch.get("position_ids")))
        self.log(name, loss, prog_bar=True, sync_dist=not self.training, batch_size=len(input_ids))
        return loss

    def _shard(self, model: PreTrainedModel, mesh: DeviceMesh) -> None:
        """Shard `model` as a part of this module, whose forward is the loss."""
        self.model = model
        bf16 = self._trainer is not None and self._trainer.precision == "bf16-mixed"
        shard(self, model, mesh, bf16=bf16)

    @torch.no_grad()
    def _check_head(self) -> None:
        """The loss here is the model's own: its logits bit for bit, and nothing added to their cross entropy."""
        self._head_checked = True
        training = self.loaded.training
        self.loaded.train(False)  # dropout would give two different hidden states
        input_ids = torch.arange(4, device=self._head.output_old.device).unsqueeze(0)
        kind = type(self.loaded).__name__
        with model_errors(f"transformers cannot run the {kind} of {self.folder}, on four tokens"):
            try:
                theirs = self.loaded(input_ids=input_ids, labels=input_ids, use_cache=False)
            except AttributeError as error:  # Mamba and xLSTM ask the head for its weight
                said = f"{kind} reaches into its embeddings, which are in two blocks here: {error}"
                raise ModelError(said) from error
            hidden = self._hidden(input_ids)
        ours = self._form.apply_(self._head(self._form.states(hidden)))
        # NaN is no head of another kind; that the weights are broken is said of their loss.
        if theirs.logits.shape != ours.shape or not torch.equal(theirs.logits.nan_to_num(), ours.nan_to_num()):
            raise ModelError(
                f"the logits of {kind} are not its output embeddings times its last hidden state, scaled or capped "
                f"as its config.json says ({self._form}); wanted a model whose logits are"
            )
        loss = functional.cross_entropy(ours[0, :-1].float(), input_ids[0, 1:])
        if not torch.allclose(theirs.loss.float().nan_to_num(), loss.nan_to_num(), rtol=1e-5):
            raise ModelError(
                f"the loss of {kind} is {theirs.loss.item():.6f} and the cross entropy of its logits "
                f"{loss.item():.6f}: it adds something, of a mixture's router say; wanted output_router_logits false "
                "in its config.json, z_loss_coefficient 0, or a model that adds nothing"
            )
        self.loaded.train(training)


@contextmanager
def _refusals(setting: str) -> Iterator[None]:
    """Round the making of what a setting names; raises UsageError, which names it."""
    try:
        yield
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise UsageError(f"{setting}: {error}; wanted arguments that it takes") from error


def _checkpoint_activations(model: PreTrainedModel) -> None:
    # transformers 5.23 has the first name and warns of the second, which is all that 5.0 has.
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    enable = next(getattr(model, name) for name in names if hasattr(model, name))
    enable({"use_reentrant": False})  # the reentrant kind loses gradients where a layer's input needs none


def _at(position_ids: Tensor | None) -> dict[str, Tensor]:
    """What a model is told of positions: nothing where they are the usual ones, which not all of them can be told."""
    return {} if position_ids is None else {"position_ids": position_ids}


def _shifted(labels: Tensor, position_ids: Tensor | None = None) -> Tensor:
    """The label of each position is the next token; the last has none, and none is another document's first token."""
    wanted = functional.pad(labels[:, 1:], (0, 1), value=IGNORE)
    if position_ids is not None:
        wanted[:, :-1].masked_fill_(position_ids[:, 1:] == 0, IGNORE)
    return wanted
