"""What a stage costs on each device, from shapes alone: no weight is read and no GPU touched.

The model is built of tensors without storage. Parameters, gradients and the optimizer's state are counted; what the
backward pass keeps is counted in a forward pass of such tensors, so it is that of the model's own layers and
attention, whatever the architecture.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_layers import GradientCheckpointingLayer

from kovocab.artefact import RECORD, read_record
from kovocab.cross_entropy import PIECE_LOGITS
from kovocab.embeddings import reason
from kovocab.errors import KovocabError, ModelError, UsageError
from kovocab.freezing import freeze
from kovocab.split_rows import block_of, is_tied, split_rows
from kovocab.stages import ROW_BLOCKS, Stage

# As blocks without padding are trained: causal, and so without a mask. Transformers makes none for a name that it does
# not know, and for one that it knows makes it wherever it may not look into a tensor.
ATTENTION = "kovocab_causal"
AttentionInterface.register(ATTENTION, sdpa_attention_forward)

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Setup:
    """How a run spreads a model over devices, and in which dtypes it computes.

    Attributes:
        batch_size: Blocks in a batch of one device.
        length: Tokens of a block.
        weights: Dtype of parameters, and so of their gradients and the optimizer's state.
        compute: Dtype of matrix products.
        shards: Devices that FSDP2 spreads each parameter over; 1 where each device holds all of it.
        buckets: Whether DDP holds each gradient a second time.
        checkpointing: Whether the backward pass computes each layer again instead of keeping what is in it.
    """

    batch_size: int
    length: int
    weights: torch.dtype = torch.float32
    compute: torch.dtype = torch.float32
    shards: int = 1
    buckets: bool = False
    checkpointing: bool = False


@dataclass(frozen=True)
class Cost:
    """What a stage costs: bytes on one device, the largest that are there at a time, and work.

    Attributes:
        trained: Parameters (elements) that train, on all devices together.
        weights: Of all parameters.
        gradients: Of those that train.
        optimizer: Its state.
        gathered: What FSDP2 has whole for a moment: two layers, both embeddings, gradients on their way.
        activations: What the backward pass keeps, copies of weights in another dtype, a layer's own work, the loss.
        step: What the optimizer needs beside its state while it steps, when activations are gone.
        flops: Work for one token.
    """

    trained: int
    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    step: int
    flops: int

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

    Attributes:
        model: Its parameters have shapes, and no memory.
        dtype: Of the weights.
        first_new_id: Where new rows begin.
        rows: Of each embedding.
        tied: Whether both embeddings are one matrix.

    Raises:
        ModelError: there is no configuration, or one that no causal language model can be made of.
    """

    def __init__(self, model: str, new_tokens: int, dtype: torch.dtype | None) -> None:
        try:
            self._set_up(Path(model), new_tokens, dtype)
        except KovocabError:
            raise
        except Exception as error:  # as many kinds as a config.json can be wrong in ways
            raise ModelError(f"no model to plan can be made of {model}: {reason(error)}") from error

    def _set_up(self, model: Path, new_tokens: int, dtype: torch.dtype | None) -> None:
        self._config, self.first_new_id = _read(model, new_tokens)
        self.dtype = dtype or cast("torch.dtype | None", self._config.dtype) or torch.float32
        self._mode = FakeTensorMode()
        self._traces: dict[tuple[Any, ...], _Trace] = {}
        self.model = self._build(self.dtype)
        self.rows = int(self._config.vocab_size)

    @property
    def layers(self) -> list[nn.Module]:
        """The layers, first to last."""
        return _layers(self.model)

    def cost(self, stage: Stage, setup: Setup, optimizer: MakeOptimizer) -> Cost:
        """What `stage` costs.

        Raises:
            FreezingError: the embeddings are tied, and the stage trains one without the other.
            UsageError: the optimizer does not step on tensors without storage.
            ModelError: nor does a batch go through such a model, or it is none with attention.
        """
        try:
            return self._cost(stage, setup, optimizer)
        except KovocabError:
            raise
        except Exception as error:  # whatever somebody's model does with tensors that it cannot look into
            raise ModelError(
                f"{type(self.model).__name__} cannot be planned with batches of {setup.batch_size} x {setup.length} "
                f"tokens: {reason(error)}"
            ) from error

    def _cost(self, stage: Stage, setup: Setup, optimizer: MakeOptimizer) -> Cost:
        freeze(self.model, stage.patterns)
        local = {name: _local(p, setup) for name, p in self.model.named_parameters()}
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        held = sum(_bytes(p) for p in local.values()) + sum(b.nbytes for b in self.model.buffers())
        gradients = sum(_bytes(local[name]) for name in trained)
        return Cost(
            trained=sum(p.numel() for p in trained.values()),
            weights=held,
            gradients=gradients * (2 if setup.buckets else 1),
            optimizer=_state([local[name] for name in trained], optimizer),
            gathered=self._gathered(trained.keys(), setup) if setup.shards > 1 else 0,
            activations=self._activations(stage, setup),
            step=gradients,
            flops=self.flops(stage, setup),
        )

    def flops(self, stage: Stage, setup: Setup) -> int:
        """Work for one token: two FLOPs for each product of a number with a weight.

        Forward 2P + 4LTa, where P are the layers' weights, L layers, T the block's length and a the width of
        attention (its quadratic term, not halved for the causal mask, as is the custom); twice that for gradients
        of what the layers were given, where something below the output trains; 2P for gradients of the weights.
        The output's own: 2Vh, again where something below it trains, and 2h for each row that does. Activation
        checkpointing adds a forward pass at most: torch leaves out what follows the last thing that is kept.
        """
        config = self._config
        heads, hidden = int(config.num_attention_heads), int(config.hidden_size)
        width = heads * int(getattr(config, "head_dim", None) or hidden // heads)
        weights = 2 * self._products
        attention = 4 * len(self.layers) * setup.length * width
        rows = {"none": 0, "new": self.rows - self.first_new_id, "all": self.rows}[stage.output_rows]
        work = weights + attention + 2 * self.rows * hidden + 2 * rows * hidden
        if _below(stage):
            work += weights + 2 * attention + 2 * self.rows * hidden
            work += (weights + attention) * setup.checkpointing
        return work + weights * stage.layers

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
        trace = self._trace(stage, setup)
        kept, again = trace.outside + trace.in_layers, 0
        if not _below(stage):
            kept = trace.hidden
        elif setup.checkpointing:
            kept, again = trace.outside + trace.inputs, trace.layer
        positions, hidden = setup.batch_size * setup.length, int(self._config.hidden_size)
        head = [p for name, p in self.model.named_parameters() if block_of(name).startswith("output")]
        # A piece of logits in fp32 and in the products' dtype; sums of gradients in fp32; copies of the weights.
        low = setup.compute.itemsize if setup.compute != torch.float32 else 0
        loss = min(positions, max(1, PIECE_LOGITS // self.rows)) * self.rows * (4 + low)
        loss += sum(p.numel() for p in head if p.requires_grad) * 4 + trace.hidden * _below(stage)
        if self._casts(setup):
            loss += self.rows * hidden * low
            # Autocast remembers its copies of what trains to the end of the forward pass, checkpointing or not.
            loss += self._products * low if stage.layers and setup.checkpointing else 0
        return kept + max(loss, again + trace.layer)

    def _casts(self, setup: Setup) -> bool:
        """Whether autocast makes copies of weights; FSDP2 gathers them in the dtype that it computes in."""
        return setup.shards == 1 and setup.compute != self.dtype

    def _trace(self, stage: Stage, setup: Setup) -> "_Trace":
        # Where nothing below the output trains, what a layer would keep bounds what it works with.
        recorded = stage if _below(stage) else Stage(input_rows="new")
        blocks = frozenset(block for block in recorded.blocks if not block.startswith("output"))
        key = (blocks, setup.batch_size, setup.length, setup.compute, setup.shards > 1)
        if key not in self._traces:
            # Under FSDP2 the weights are in the dtype of the products when a layer runs.
            model = self._build(self.dtype if setup.shards == 1 else setup.compute, layers=2)
            freeze(model, recorded.patterns)
            autocast = setup.compute if self._casts(setup) else None
            with self._mode:
                self._traces[key] = _trace(model, len(self.layers), setup, autocast)
        return self._traces[key]

    def _build(self, dtype: torch.dtype, layers: int | None = None) -> PreTrainedModel:
        config = deepcopy(self._config)
        if layers is not None:
            config.num_hidden_layers = layers
            if getattr(config, "layer_types", None):
                config.layer_types = config.layer_types[:layers]
        with self._mode:
            made: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, dtype=dtype, attn_implementation=ATTENTION
            )
            self.tied = is_tied(made)
            return cast("PreTrainedModel", split_rows(made, self.first_new_id).train())


@dataclass(frozen=True)
class _Trace:
    """What a forward pass keeps for the backward pass, in bytes.

    Attributes:
        layer: Inside a layer; weights are not counted, copies of them in another dtype are.
        in_layers: Inside all layers. The first keeps what they share too, or less where nothing above it trains.
        outside: Outside them.
        inputs: The layers' inputs, which is what checkpointing keeps of them.
        hidden: The last hidden state.
    """

    layer: int
    in_layers: int
    outside: int
    inputs: int
    hidden: int


def _trace(model: PreTrainedModel, number: int, setup: Setup, autocast: torch.dtype | None) -> _Trace:
    """Take a batch through a model of two layers whose flags are set; tell what `number` of them would keep."""
    seen = {_storage(p) for p in [*model.parameters(), *model.buffers()]}
    held: list[Any] = []  # a storage that is gone would lend its number to another
    at, kept, inputs = -1, [0, 0, 0], 0  # first layer, second, outside; there `at` is -1
    layers = _layers(model)

    def pack(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in seen:
            seen.add(_storage(tensor))
            held.append(tensor.untyped_storage())
            kept[at] += tensor.untyped_storage().nbytes()
        return tensor

    def enter(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> None:
        nonlocal at, inputs
        at = layers.index(module)
        inputs = (args[0] if args else kwargs["hidden_states"]).nbytes

    def leave(*_: Any) -> None:
        nonlocal at
        at = -1

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(layer.register_forward_hook(leave).remove)
        stack.enter_context(saved_tensors_hooks(pack, lambda tensor: tensor))
        stack.enter_context(torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None))
        ids = torch.zeros(setup.batch_size, setup.length, dtype=torch.int64)
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    first, second, outside = kept
    return _Trace(second, first + (number - 1) * second, outside, number * inputs, hidden.nbytes)


def _read(path: Path, new_tokens: int) -> tuple[PreTrainedConfig, int]:
    """The configuration as it is after `expand`, and where new rows begin."""
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"there is no {file}; wanted the folder of a model, or its config.json")
    try:
        config = AutoConfig.from_pretrained(str(file))
    except Exception as error:  # as many kinds as it can be wrong in ways
        raise ModelError(f"{file} cannot be read: {reason(error)}") from error
    if (file.parent / RECORD).is_file():
        record = read_record(file.parent)
        if "first_new_id" in record:
            return config, int(record["first_new_id"])
    if new_tokens < 1:
        raise UsageError(f"new_tokens is {new_tokens}; wanted at least 1")
    base = int(config.vocab_size)
    config.vocab_size = base + new_tokens
    return config, base


def _below(stage: Stage) -> bool:
    """Whether something below the output trains, so that a graph is recorded through the layers."""
    return stage.layers or stage.input_rows != "none"


def _layers(model: PreTrainedModel) -> list[nn.Module]:
    found: list[nn.Module] = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not found:
        raise ModelError(f"{type(model).__name__} has no layers that a plan knows; wanted a decoder of transformers")
    return found


def _local(parameter: Tensor, setup: Setup) -> nn.Parameter:
    """What one device holds of a parameter: FSDP2 cuts rows, and the first device has the most."""
    shape = list(parameter.shape)
    if setup.shards > 1:
        shape[0] = -(-shape[0] // setup.shards)
    return nn.Parameter(torch.empty(shape, dtype=setup.weights, device="meta"))


def _state(parameters: list[nn.Parameter], make: MakeOptimizer) -> int:
    """The bytes of an optimizer's state, after one step on tensors without storage, one of each shape."""
    number = Counter(parameter.shape for parameter in parameters)
    each = {parameter.shape: parameter for parameter in parameters}
    try:
        made = make(each.values())
        for parameter in each.values():
            parameter.grad = torch.empty_like(parameter)
        made.step()
    except (RuntimeError, ValueError, TypeError) as error:
        raise UsageError(f"model.optimizer: its state cannot be counted without a device: {error}") from error
    return sum(
        number[shape] * _bytes(value)
        for shape, parameter in each.items()
        for value in made.state[parameter].values()
        if isinstance(value, Tensor)
    )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.dtype.itemsize


def _storage(tensor: Tensor) -> int:
    return cast("int", tensor.untyped_storage()._cdata)
