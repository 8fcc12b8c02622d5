"""What a forward pass keeps for the backward pass: a model of two layers tells what any number of them would."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import PreTrainedModel

from kovocab.planning.meta_models import layers_of


@dataclass(frozen=True)
class Trace:
    """What is kept, in bytes.

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


def trace(model: PreTrainedModel, number: int, shape: tuple[int, int], autocast: torch.dtype | None) -> Trace:
    """Take a batch through a model of two layers whose flags are set; tell what `number` of them would keep.

    Args:
        model: Its tensors need no memory; call this in the mode that it was made in.
        number: Of layers.
        shape: Of the batch: blocks, tokens of a block.
        autocast: The dtype of autocast; None is without.
    """
    seen = {_storage(p) for p in [*model.parameters(), *model.buffers()]}
    held: list[Any] = []  # a storage that is gone would lend its number to another
    at, kept, inputs = -1, [0, 0, 0], 0  # first layer, second, outside; there `at` is -1
    layers = layers_of(model)

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
        # PEFT casts what a LoRA is given where autocast would not, and asks for that of GPUs.
        stack.callback(torch.set_autocast_enabled, "cuda", torch.is_autocast_enabled("cuda"))
        torch.set_autocast_enabled("cuda", autocast is not None)
        ids = torch.zeros(shape, dtype=torch.int64)
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    first, second, outside = kept
    return Trace(second, first + (number - 1) * second, outside, number * inputs, hidden.nbytes)


def _storage(tensor: Tensor) -> int:
    return cast("int", tensor.untyped_storage()._cdata)
