"""Models that are all shapes: what `fit` would load, without reading a weight or taking its memory.

Plain, with rows split; with layers in 4 bits as bitsandbytes packs them; with the LoRA that PEFT puts on those. Their
forward passes run, and give shapes.
"""

import logging
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from kovocab.errors import ModelError, UsageError, model_errors
from kovocab.expanding.checks import check_rows
from kovocab.expanding.expand import check_padding
from kovocab.expanding.row_counts import rows_for
from kovocab.expanding.split_rows import is_tied, split_rows
from kovocab.hub import local
from kovocab.model.fsdp import decoder_layers
from kovocab.model.qlora import QLoRA, add_lora, check_packages
from kovocab.record import MODEL_VERBS, RECORD, read_model, read_record
from kovocab.tokenizer.tokenizer import load_tokenizer

log = logging.getLogger(__name__)

# As blocks without padding are trained: causal, and so without a mask. Transformers makes none for a name that it does
# not know, and for one that it knows makes it wherever it may not look into a tensor.
ATTENTION = "kovocab_causal"
AttentionInterface.register(ATTENTION, sdpa_attention_forward)

BLOCK, BLOCK_OF_SCALES = 64, 256
"""Weights that share a scale, and scales that share one: bitsandbytes' own."""


class Shapes:
    """What models of one configuration are built of.

    Args:
        model: A folder, a config.json alone, or a name on the hub. One that `expand` has not left is grown by
            `new_tokens`.
        new_tokens: How many tokens a base will get. They take its padding rows first: how many tokens it has is what
            the tokenizer beside config.json says, and without one each row is taken for a token, with a warning.
        pad_to_multiple_of: What a base's rows will be rounded up to a multiple of.

    Attributes:
        config: As it is after `expand`.
        first_new_id: Where new rows begin.
        mode: In it, tensors have no memory.

    Raises:
        ModelError: there is no configuration, or one that cannot be read, or it is not of the tokenizer beside it.
        TokenizerError: that cannot be read.
        UsageError: a base gets no token, or a multiple that cannot be.
    """

    def __init__(self, model: str, new_tokens: int, pad_to_multiple_of: int | None = None) -> None:
        self.config, self.first_new_id = _read(local(model), new_tokens, pad_to_multiple_of)
        self.mode = FakeTensorMode()

    def plain(self, dtype: torch.dtype, layers: int | None = None) -> tuple[PreTrainedModel, bool]:
        """A model with split rows, of `layers` layers or all; and whether its embeddings are tied.

        Raises:
            ModelError: the embeddings are not plain, see `split_rows`.
        """
        config = deepcopy(self.config)
        if layers is not None:
            config.num_hidden_layers = layers
            if getattr(config, "layer_types", None):
                config.layer_types = config.layer_types[:layers]
        with self.mode:
            made: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, dtype=dtype, trust_remote_code=False
            )
            if made.config._attn_implementation == "sdpa":  # else as it is: Gemma 2's is capped, and eager
                made.set_attn_implementation(ATTENTION)
            tied = is_tied(made)
            return split_rows(made, self.first_new_id).train(), tied

    def in_4_bits(
        self, dtype: torch.dtype, qlora: QLoRA, lora: torch.dtype | None, layers: int | None = None
    ) -> PreTrainedModel:
        """The same with its linears as `kovocab.model.qlora.load_4bit` leaves them.

        Args:
            dtype: Of what is not quantised.
            qlora: How.
            lora: Of LoRA's weights; None is without LoRA.
            layers: As for `plain`.

        Raises:
            UsageError: a package is missing.
            ModelError: the model has no linear of a name in `target_modules`.
        """
        check_packages()
        from bitsandbytes.nn import Linear4bit

        model, _ = self.plain(dtype, layers)
        compute = getattr(torch, qlora.compute_dtype)
        # On the meta device first: PEFT moves what it adds, and tensors of the mode cannot be moved.
        for name, part in list(model.named_modules()):
            if type(part) is nn.Linear:  # the head is none, for its rows are split
                made: Any = Linear4bit(
                    part.in_features, part.out_features, part.bias is not None, compute, quant_type="nf4", device="meta"
                )
                made.support_avx512bf16_for_cpu = False  # as in load_4bit
                model.set_submodule(name, made)
        if lora is not None:
            cast("Any", model).is_loaded_in_4bit = True  # PEFT asks
            add_lora(model, qlora, "meta")
        with self.mode:
            for part in model.modules():
                for name, parameter in list(part.named_parameters(recurse=False)):
                    if isinstance(part, Linear4bit) and name == "weight":
                        part.weight = _packed(torch.empty(parameter.shape), compute)
                    elif parameter.is_meta:
                        kind = compute if isinstance(part, Linear4bit) else lora
                        setattr(part, name, nn.Parameter(torch.empty(parameter.shape, dtype=kind)))
        return model


def layers_of(model: PreTrainedModel) -> list[nn.Module]:
    """The layers, first to last.

    Raises:
        ModelError: the architecture has none that transformers could checkpoint.
    """
    found: list[nn.Module] = [*decoder_layers(model)]
    if not found:
        raise ModelError(f"{type(model).__name__} has no layers that a plan knows; wanted a decoder of transformers")
    return found


def nbytes(tensor: Tensor) -> int:
    """The bytes of a tensor; of a weight in 4 bits, those of the constants that unpack it too."""
    state = getattr(tensor, "quant_state", None)
    constants = [] if state is None else [*vars(state).values(), *vars(state.state2).values()]
    return sum(part.numel() * part.dtype.itemsize for part in (tensor, *constants) if isinstance(part, Tensor))


def _packed(weight: Tensor, compute: torch.dtype) -> nn.Parameter:
    """Two weights a byte, a scale for each block; scales less their mean in 8 bits, with scales of their own."""
    from bitsandbytes.functional import QuantState

    # Not bitsandbytes' own function: it keeps a table for the next caller, which would be left without values.
    ops, values, levels = torch.ops.bitsandbytes, torch.empty(16), torch.empty(256)
    packed, scales = ops.quantize_4bit(weight, BLOCK, "nf4", torch.uint8)
    scales, outer = ops.quantize_blockwise(scales, levels, BLOCK_OF_SCALES)
    inner = QuantState(outer, code=levels, blocksize=BLOCK_OF_SCALES, dtype=torch.float32)
    found: Any = nn.Parameter(packed, requires_grad=False)
    found.quant_state = QuantState(
        scales, weight.shape, values, BLOCK, "nf4", compute, offset=torch.empty(()), state2=inner
    )
    return cast("nn.Parameter", found)


def _read(path: Path, new_tokens: int, pad_to_multiple_of: int | None) -> tuple[PreTrainedConfig, int]:
    """The configuration as it is after `expand`, and where new rows begin."""
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"there is no {file}; wanted the folder of a model, or its config.json")
    with model_errors(f"{file} cannot be read"):
        config = AutoConfig.from_pretrained(str(file), trust_remote_code=False)
    if (file.parent / RECORD).is_file():
        record = read_record(file.parent)
        if record["verb"] in MODEL_VERBS:
            record = read_model(file.parent)
            check_rows(config, file.parent, record)
        if (first := record.get("first_new_id")) is not None:
            return config, int(first)
    if new_tokens < 1:
        raise UsageError(f"new_tokens is {new_tokens}; wanted at least 1")
    rows = tokens = int(config.vocab_size)
    if any((file.parent / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        tokens = load_tokenizer(file.parent).size
        check_padding(file.parent, rows, tokens, str(file.parent))
    else:
        log.warning(
            "%s: there is no tokenizer beside it, so all its %s rows are taken for tokens; new ones would take padding "
            "rows first, if some are",
            file,
            f"{rows:,}",
        )
    config.vocab_size = rows_for(rows, tokens + new_tokens, pad_to_multiple_of)
    return config, tokens
