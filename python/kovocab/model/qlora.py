"""QLoRA: the layers frozen in 4 bits, LoRA on linears that are named, merged into the plain weights at the end.

bitsandbytes holds the layers (NF4, its constants quantised too) as Hugging Face loads them, PEFT puts the LoRA on
them, and both embeddings train in full, in two blocks and their own dtype. What a stage leaves is plain: each
product of a LoRA is added to the weight that the stage started from, and not to its 4-bit rounding.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from kovocab.errors import ModelError, UsageError, model_errors
from kovocab.expanding.config_files import copy_config
from kovocab.expanding.expand import Dtype, load_plain
from kovocab.expanding.split_rows import SplitEmbedding, SplitLinear, plain_place
from kovocab.model.tensor_files import read_tensors, write_tensors
from kovocab.record import Record
from kovocab.stages import ROW_BLOCKS, Stage

PACKAGES = ("bitsandbytes", "peft", "accelerate")
"""What the extra `qlora` installs."""

ADAPTER = "default"
"""PEFT's name of an adapter that was given none."""

LORA = ("*.lora_A.*", "*.lora_B.*")
"""What trains in the place of the layers, as patterns over parameter names."""


@dataclass(frozen=True)
class QLoRA:
    """How layers train in 4 bits.

    Attributes:
        rank: Inner size of each LoRA.
        alpha: What it adds is scaled by `alpha / rank`.
        dropout: On its input, in training.
        target_modules: Linears that get one, by the last part of their names. Those of Llama, Mistral and Qwen;
            Phi has `q_proj, k_proj, v_proj, dense, fc1, fc2`.
        compute_dtype: The dtype that 4-bit weights are multiplied in, and of the loss after merging.
        seed: Of the LoRA's first values.
        every_stage: Hold the layers in 4 bits in stages that leave them frozen, too, without LoRA. Takes a quarter of
            the memory, and the rows are fitted to rounded layers.
    """

    rank: int = 64
    alpha: float = 64.0
    dropout: float = 0.0
    target_modules: list[str] = field(
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    compute_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    seed: int = 0
    every_stage: bool = False

    def __post_init__(self) -> None:
        """Refuse what no LoRA can be made of."""
        wanted = {
            "rank": (self.rank > 0, "at least 1"),
            "alpha": (self.alpha > 0, "a number above 0"),
            "dropout": (0 <= self.dropout < 1, "a share from 0 and below 1"),
            "target_modules": (bool(self.target_modules), "the name of a linear, q_proj say"),
        }
        for key, (holds, what) in wanted.items():
            if not holds:
                raise UsageError(f"model.qlora.{key} is {getattr(self, key)}; wanted {what}")


def check_packages() -> None:
    """Check that what the extra `qlora` installs is there.

    Raises:
        UsageError: a package is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"model.qlora: {', '.join(missing)} is missing; wanted pip install 'kovocab[qlora]'")


def no_shards(strategy: str) -> UsageError:
    """What is wrong with a strategy that shards parameters; for whoever finds it to raise."""
    return UsageError(
        f"model.qlora: {strategy} shards parameters, and 4-bit ones cannot be; "
        "wanted one device, or trainer.strategy ddp"
    )


def check_qlora(folder: str | Path, qlora: QLoRA) -> None:
    """Check, before long work, that the model in `folder` can be trained so; reads its config, no weights.

    Raises:
        UsageError: a package is missing.
        ModelError: the model has no linear of a name in `target_modules`, or has no config.
    """
    check_packages()
    with model_errors(f"the model {folder} cannot be read"), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    _targets(model, qlora)


def load_4bit(folder: str, dtype: Dtype, qlora: QLoRA) -> PreTrainedModel:
    """Load a model whole with every linear but the head in 4 bits, on torch's default device.

    Args:
        folder: As for `load_plain`.
        dtype: Of what is not quantised: embeddings, norms, biases.
        qlora: How.

    Raises:
        UsageError, ModelError: see `check_qlora` and `load_plain`.
    """
    check_qlora(folder, qlora)
    from bitsandbytes.nn import Linear4bit

    quantization = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, qlora.compute_dtype),
    )
    # Where no device is said, bitsandbytes takes the first GPU, whatever the Trainer was told.
    device = {"": torch.get_default_device()}
    model = load_plain(folder, dtype, quantization_config=quantization, device_map=device)
    for part in model.modules():
        if isinstance(part, Linear4bit):
            # Else a forward in eval mode repacks the weight for some CPUs, and training goes on without its gradient.
            part.support_avx512bf16_for_cpu = False
            part.weight.quant_state.dtype = part.compute_dtype  # what a backward unpacks to
            if part.bias is not None:  # else the first forward casts it, and what is frozen would have moved
                part.bias.data = part.bias.data.to(part.compute_dtype)
    return model


def add_lora(model: PreTrainedModel, qlora: QLoRA, device: str = "cpu") -> None:
    """Put a LoRA that adds nothing yet on each target module, in place; the same one for the same seed.

    Args:
        model: Its linears may be in 4 bits.
        qlora: How.
        device: Where its values are drawn; PEFT moves them to the module's. On `meta` they get none.

    Raises:
        ModelError: the model has no linear of a name in `target_modules`.
    """
    from peft import LoraConfig, inject_adapter_in_model

    # Whole names: PEFT would take a last part in any module, and `all-linear` takes what is no layer too.
    targets = _targets(model, qlora)
    config = LoraConfig(
        r=qlora.rank,
        lora_alpha=qlora.alpha,  # an int by its hint, only ever divided
        lora_dropout=qlora.dropout,
        target_modules=targets,
    )
    # A run that was stopped before its first checkpoint starts from the same values as one that was not.
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(qlora.seed)
        inject_adapter_in_model(config, model, ADAPTER)
    adapted = _adapted(model)
    if list(adapted) != targets:
        raise ModelError(f"PEFT put LoRA on {len(adapted)} modules, not on the {len(targets)} of target_modules")
    for part in adapted.values():  # PEFT gives them the compute dtype; AdamW's small updates would round away
        part.lora_A.float()
        part.lora_B.float()


def train_patterns(stage: Stage) -> list[str]:
    """The patterns of a stage in which LoRA trains in the place of the layers, for `StageFreezing`."""
    rows = [f"*.{block}*" for block in ROW_BLOCKS if block in stage.blocks]
    return [*rows, *LORA] if stage.layers else rows


def qlora_of(qlora: QLoRA | None, stage: Stage) -> QLoRA | None:
    """What a stage goes by: None where it leaves the layers frozen and as they were written."""
    return qlora if qlora is not None and (stage.layers or qlora.every_stage) else None


def merge(model: PreTrainedModel, source: Path, out: Path, dtype: Dtype) -> None:
    """Write `source` to `out` with the model's embeddings, and what its LoRA learnt added to its weights.

    A tensor at a time: sums are taken in fp32 and rounded once. Everything else is copied bit for bit.

    Args:
        model: With split rows and LoRA, as trained.
        source: The plain folder that it was loaded from.
        out: An empty folder: config and safetensors are written here.
        dtype: Of the weights written; `auto` keeps each as it is in `source`.

    Raises:
        ModelError: `source` lacks a weight that was trained.
    """
    copy_config(source, out, dtype)
    adapted, rows = _adapted(model), _plain_rows(model)
    trained = {f"{name}.weight" for name in adapted} | rows.keys()

    def merged() -> Iterator[tuple[str, Tensor]]:
        for name, stored in read_tensors(source):
            tensor = rows.get(name, stored)
            wanted = stored.dtype if dtype == "auto" or not stored.is_floating_point() else getattr(torch, dtype)
            module = adapted.get(name.removesuffix(".weight"))
            if name in trained and module is not None:
                tensor = tensor.float() + module.get_delta_weight(ADAPTER).float().cpu()
            trained.discard(name)
            yield name, tensor.to(wanted)

    with torch.no_grad():
        write_tensors(merged(), out)
    if trained:
        raise ModelError(f"{source} has no {min(trained)}, which was trained; wanted the folder that the stage read")


def qlora_record(model: PreTrainedModel, qlora: QLoRA) -> Record:
    """What a stage's record says: the settings, linears in 4 bits, LoRA on how many, versions."""
    adapted = _adapted(model)
    numbers = [p.numel() for name, p in model.named_parameters() if p.requires_grad and ".lora_" in name]
    return {
        "settings": asdict(qlora),
        "quantized_linears": sum(hasattr(p, "quant_state") for p in model.parameters()),
        "adapted_linears": len(adapted),
        "adapter_elements": sum(numbers),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _targets(model: PreTrainedModel, qlora: QLoRA) -> list[str]:
    """The whole names of the target modules: linears, but for the head."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    linears = [name for name, part in model.named_modules() if isinstance(part, nn.Linear) and part is not head]
    last = {name: name.rpartition(".")[2] for name in linears}
    for wanted in qlora.target_modules:
        if wanted not in last.values():
            raise ModelError(
                f"model.qlora.target_modules: {type(model).__name__} has no linear {wanted!r} in its layers; "
                f"it has {', '.join(dict.fromkeys(last.values()))}"
            )
    return [name for name in linears if last[name] in qlora.target_modules]


def _adapted(model: PreTrainedModel) -> dict[str, Any]:
    """The modules that have a LoRA, by name."""
    from peft.tuners.lora import LoraLayer

    return {name: part for name, part in model.named_modules() if isinstance(part, LoraLayer)}


def _plain_rows(model: PreTrainedModel) -> dict[str, Tensor]:
    """Both embeddings under their names in a plain folder, which holds tied ones once."""
    split = {name: part for name, part in model.named_modules() if isinstance(part, SplitEmbedding | SplitLinear)}
    parts: dict[str, list[Tensor]] = {}
    seen: set[int] = set()
    for name, part in split.items():
        for block, rows in part.named_parameters():  # old rows come before new ones
            if id(rows) not in seen:
                parts.setdefault(plain_place(f"{name}.{block}", 1)[0], []).append(rows.detach())
                seen.add(id(rows))
    return {name: torch.cat(blocks) for name, blocks in parts.items()}
