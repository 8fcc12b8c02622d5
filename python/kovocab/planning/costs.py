"""What a stage costs on each device, from shapes alone: no weight is read and no GPU touched.

Parameters, gradients and the optimizer's state are counted; what the backward pass keeps is counted in a forward
pass, so it is that of the model's own layers and attention, whatever the architecture.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedModel

from kovocab.errors import UsageError, model_errors
from kovocab.expanding.logits import LogitForm
from kovocab.expanding.split_rows import block_of
from kovocab.freezing.callback import freeze
from kovocab.model.cross_entropy import held_logits
from kovocab.model.head_rows import stays
from kovocab.model.qlora import qlora_of, train_patterns
from kovocab.planning.activations import Trace, trace
from kovocab.planning.meta_models import BLOCK, Shapes, layers_of, nbytes
from kovocab.planning.setup import Setup
from kovocab.stages import ROW_BLOCKS, Stage

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Cost:
    """What a stage costs: bytes on one device, the largest that are there at a time, and work.

    Attributes:
        trained: Parameters (elements) that train, on all devices together.
        weights: Of all parameters; in 4 bits, with the constants that unpack them.
        gradients: Of those that train.
        optimizer: Its state.
        gathered: What FSDP2 has whole for a moment: two layers, both embeddings, gradients on their way.
        activations: What the backward pass keeps, copies of weights in another dtype, a layer's own work, a linear
            unpacked from 4 bits, the loss.
        step: What the optimizer needs beside its state while it steps, when activations are gone.
        work: FLOPs for one token, by the dtype of what is multiplied.
    """

    trained: int
    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    step: int
    work: dict[torch.dtype, int]

    @property
    def flops(self) -> int:
        """Work for one token."""
        return sum(self.work.values())

    @property
    def peak(self) -> int:
        """The most bytes at a time."""
        return sum(self.peak_parts().values())

    def peak_parts(self) -> dict[str, int]:
        """The peak, part by part: while activations are at their most, or while the optimizer steps."""
        last = "activations" if self.activations >= self.step else "step"
        return {part: getattr(self, part) for part in ("weights", "gradients", "optimizer", "gathered", last)}


class Skeleton:
    """A model that is all shapes, with its rows split.

    Args:
        model: A folder, or a config.json alone. One that `expand` has not left is grown by `new_tokens`.
        new_tokens: How many tokens a base will get.
        dtype: Of the weights; None is as the configuration says.
        pad_to_multiple_of: What its rows will be rounded up to a multiple of.

    Attributes:
        model: As it is trained without QLoRA.
        dtype: Of the weights.
        first_new_id: Where new rows begin.
        rows: Of each embedding.
        tied: Whether both embeddings are one matrix.

    Raises:
        ModelError: there is no configuration, or one that no causal language model can be made of.
    """

    def __init__(
        self, model: str, new_tokens: int, dtype: torch.dtype | None, pad_to_multiple_of: int | None = None
    ) -> None:
        with model_errors(f"no model to plan can be made of {model}"):
            self._shapes = Shapes(model, new_tokens, pad_to_multiple_of)
            self._config, self.first_new_id = self._shapes.config, self._shapes.first_new_id
            self.dtype = dtype or cast("torch.dtype | None", self._config.dtype) or torch.float32
            self._traces: dict[tuple[Any, ...], Trace] = {}
            self._in_4_bits: dict[tuple[Any, ...], PreTrainedModel] = {}
            self.model, self.tied = self._shapes.plain(self.dtype)
            self.rows = int(self._config.vocab_size)

    @property
    def layers(self) -> list[nn.Module]:
        """The layers, first to last."""
        return layers_of(self.model)

    def cost(self, stage: Stage, setup: Setup, optimizer: MakeOptimizer) -> Cost:
        """What `stage` costs.

        Raises:
            FreezingError: the embeddings are tied, and the stage trains one without the other.
            UsageError: the optimizer does not step on tensors without storage; or QLoRA's packages are missing.
            ModelError: the model has no linear that QLoRA names; or no batch goes through such a model, or it is
                none with attention.
        """
        tried = f"batches of {setup.batch_size} x {setup.length} tokens"
        with model_errors(f"{type(self.model).__name__} cannot be planned with {tried}"):
            return self._cost(stage, setup, optimizer)

    def _cost(self, stage: Stage, setup: Setup, optimizer: MakeOptimizer) -> Cost:
        model = self._model(stage, setup)
        local = {name: _local(p, setup) for name, p in model.named_parameters()}
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        constants = sum(nbytes(p) - _bytes(p) for p in model.parameters())
        held = sum(_bytes(p) for p in local.values()) + constants + sum(b.nbytes for b in model.buffers())
        gradients = sum(_bytes(local[name]) for name in trained)
        return Cost(
            trained=sum(p.numel() for p in trained.values()),
            weights=held,
            gradients=gradients * (2 if setup.buckets else 1),
            optimizer=_state([local[name] for name in trained], optimizer),
            gathered=self._gathered(trained.keys(), setup) if setup.shards > 1 else 0,
            activations=self._activations(stage, setup),
            step=gradients,
            work=self.work(stage, setup),
        )

    def work(self, stage: Stage, setup: Setup) -> dict[torch.dtype, int]:
        """FLOPs for one token by dtype: two for each product of a number with a weight.

        Forward 2P + 4LTa, where P are the layers' weights, L layers, T the block's length and a the width of
        attention (its quadratic term, not halved for the causal mask, as is the custom); twice that for gradients
        of what the layers were given, where something below the output trains; 2P for gradients of the weights.
        The output's own: 2Vh, again where something below it trains, and 2h for each row that does. Activation
        checkpointing adds a forward pass at most: torch leaves out what follows the last thing that is kept.
        Weights in 4 bits get no gradients, and LoRA's R weights add what P would: 6R, 8R with checkpointing.
        """
        config, qlora = self._config, qlora_of(setup.qlora, stage)
        heads, hidden = int(config.num_attention_heads), int(config.hidden_size)
        width = heads * int(getattr(config, "head_dim", None) or hidden // heads)
        weights = 2 * self._products
        attention = 4 * len(self.layers) * setup.length * width
        rows = {"none": 0, "new": self.rows - self.first_new_id, "all": self.rows}[stage.output_rows]
        # How often the layers are gone through: forward, for what they were given, and once more.
        below = _below(stage)
        passes = 1 + below + below * setup.checkpointing
        others = attention * (passes + below) + 2 * self.rows * hidden * (1 + below) + 2 * rows * hidden
        if qlora is None:
            return {setup.compute: others + weights * (passes + stage.layers)}
        adapters = 2 * _adapters(self._model(stage, setup)) * (passes + stage.layers)
        found: Counter[torch.dtype] = Counter({getattr(torch, qlora.compute_dtype): weights * passes})
        found[setup.compute if self._autocasts(setup) else setup.lora] += adapters
        found[setup.compute] += others
        return {dtype: flops for dtype, flops in found.items() if flops}

    def _model(self, stage: Stage, setup: Setup, layers: int | None = None) -> PreTrainedModel:
        """The model as `stage` loads it, of `layers` layers or all, with its flags set."""
        # Under FSDP2 the weights are in the dtype of the products when a layer runs.
        dtype = self.dtype if layers is None or setup.shards == 1 else setup.compute
        qlora, lora = qlora_of(setup.qlora, stage), setup.lora if stage.layers else None
        if qlora is not None:
            key = (dtype, repr(qlora), lora, layers)
            if key not in self._in_4_bits:
                self._in_4_bits[key] = self._shapes.in_4_bits(dtype, qlora, lora, layers)
            model = self._in_4_bits[key]
        else:
            model = self.model if layers is None else self._shapes.plain(dtype, layers)[0]
        freeze(model, stage.patterns if qlora is None else train_patterns(stage))
        return model

    @property
    def _products(self) -> int:
        """Weights of the layers that something is multiplied with."""
        return sum(p.numel() for layer in self.layers for p in layer.parameters() if p.ndim > 1)

    def _gathered(self, trained: Iterable[str], setup: Setup) -> int:
        layer = sum(p.numel() for p in self.layers[0].parameters())
        root = sum(p.numel() for p in self.model.parameters()) - layer * len(self.layers)
        names = list(trained)
        own = sum(self.model.get_parameter(name).numel() for name in names if block_of(name) in ROW_BLOCKS)
        moving = own + layer * any(block_of(name) == "layers" for name in names)
        return (2 * layer + root + moving) * setup.compute.itemsize

    def _activations(self, stage: Stage, setup: Setup) -> int:
        """What is kept, and the most of what comes and goes beside it: the loss, or a layer on its way back."""
        found, model, qlora = self._trace(stage, setup), self._model(stage, setup), qlora_of(setup.qlora, stage)
        kept, again = found.outside + found.in_layers, 0
        if not _below(stage):
            kept = found.hidden
        elif setup.checkpointing:
            kept, again = found.outside + found.inputs, found.layer
        positions, hidden = setup.batch_size * setup.length, int(self._config.hidden_size)
        head = [p for name, p in model.named_parameters() if block_of(name).startswith("output")]
        # Logits in fp32 and in the products' dtype; sums of gradients in fp32; copies of the weights.
        low = setup.compute.itemsize if setup.compute != torch.float32 else 0
        capped = 4 * (LogitForm.of(self._config).cap is not None)  # the slope of each logit
        halves = [(len(p), stays(p.requires_grad, setup.compute)) for p in head if p.ndim > 1]
        logits, piece = held_logits(halves, positions, setup.device)
        loss = logits * (4 + low + capped) + piece * hidden * 4 * _below(stage)
        loss += sum(p.numel() for p in head if p.requires_grad) * 4 + found.hidden * _below(stage)
        copied = self._products if self._casts(setup) else 0
        if qlora is not None:
            # A linear is whole while it multiplies, and its scales are in fp32.
            most = max(p.quant_state.shape.numel() for p in model.parameters() if hasattr(p, "quant_state"))
            again += most * getattr(torch, qlora.compute_dtype).itemsize + most // BLOCK * 4
            copied = _adapters(model) if self._autocasts(setup) else 0
        if self._casts(setup):
            loss += self.rows * hidden * low
        # Autocast remembers its copies of what trains to the end of the forward pass, checkpointing or not.
        loss += copied * low if stage.layers and setup.checkpointing else 0
        return kept + max(loss, again + found.layer)

    def _casts(self, setup: Setup) -> bool:
        """Whether autocast makes copies of weights; FSDP2 gathers them in the dtype that it computes in."""
        return setup.shards == 1 and setup.compute != self.dtype

    def _autocasts(self, setup: Setup) -> bool:
        return self._casts(setup) or (setup.autocast and setup.shards == 1)

    def _trace(self, stage: Stage, setup: Setup) -> Trace:
        # Where nothing below the output trains, what a layer would keep bounds what it works with.
        recorded = stage if _below(stage) else Stage(input_rows="new")
        blocks = frozenset(block for block in recorded.blocks if not block.startswith("output"))
        spread = (setup.batch_size, setup.length, setup.compute, setup.autocast, setup.shards > 1)
        key = (blocks, *spread, repr(qlora_of(setup.qlora, stage)), setup.lora)
        if key not in self._traces:
            model = self._model(recorded, setup, layers=2)
            autocast = setup.compute if self._autocasts(setup) else None
            with self._shapes.mode:
                self._traces[key] = trace(model, len(self.layers), (setup.batch_size, setup.length), autocast)
        return self._traces[key]


def _below(stage: Stage) -> bool:
    """Whether something below the output trains, so that a graph is recorded through the layers."""
    return stage.layers or stage.input_rows != "none"


def _adapters(model: PreTrainedModel) -> int:
    """LoRA's weights."""
    return sum(p.numel() for name, p in model.named_parameters() if ".lora_" in name)


def _local(parameter: Tensor, setup: Setup) -> nn.Parameter:
    """What one device holds of a parameter: FSDP2 cuts rows, and the first device has the most."""
    shape = list(parameter.shape)
    if setup.shards > 1:
        shape[0] = -(-shape[0] // setup.shards)
    return nn.Parameter(torch.empty(shape, dtype=parameter.dtype, device="meta"), parameter.requires_grad)


def _state(parameters: list[nn.Parameter], make: MakeOptimizer) -> int:
    """The bytes of an optimizer's state, after one step on tensors without storage, one of each shape and dtype."""
    number = Counter((parameter.shape, parameter.dtype) for parameter in parameters)
    each = {(parameter.shape, parameter.dtype): parameter for parameter in parameters}
    try:
        made = make(each.values())
        for parameter in each.values():
            parameter.grad = torch.empty_like(parameter)
        made.step()
    except (RuntimeError, ValueError, TypeError) as error:
        raise UsageError(f"model.optimizer: its state cannot be counted without a device: {error}") from error
    return sum(
        number[kind] * _bytes(value)
        for kind, parameter in each.items()
        for value in made.state[parameter].values()
        if isinstance(value, Tensor)
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.dtype.itemsize
