"""What a run is planned for, and how it goes about it, read from the settings of a fit."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from kovocab.errors import UsageError
from kovocab.machine import memory
from kovocab.machine.gpus import GPUS, Gpu
from kovocab.model.qlora import QLoRA

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from kovocab.data.mix import Mixture
    from kovocab.model.causal_lm import CausalLM

SHARDED = "lightning.pytorch.strategies.ModelParallelStrategy"
REPLICATED = ("lightning.pytorch.strategies.DDPStrategy", "lightning.pytorch.strategies.SingleDeviceStrategy")
TRUE = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "bf16": torch.bfloat16, "16": torch.float16}


@dataclass(frozen=True)
class Machine:
    """What a run is planned for.

    Attributes:
        devices: All of them, on all nodes.
        gpu: What computes; none where it is this machine's processor, and then there are no hours.
        memory: Bytes of one device.
        mfu: Share of the peak that is used.
    """

    devices: int
    gpu: Gpu | None
    memory: int
    mfu: float

    def hours(self, tokens: int, work: dict[torch.dtype, int]) -> float | None:
        """How long `tokens` take, with FLOPs for each in matrix products of some dtypes."""
        if self.gpu is None:
            return None
        gpu = self.gpu
        seconds = sum(flops / (gpu.fp32 if dtype == torch.float32 else gpu.bf16) for dtype, flops in work.items())
        return tokens * seconds / (self.mfu * self.devices) / 3600


@dataclass(frozen=True)
class Setup:
    """How a run spreads a model over devices, and in which dtypes it computes.

    Attributes:
        batch_size: Blocks in a batch of one device.
        length: Tokens of a block.
        compute: Dtype of matrix products.
        autocast: Whether autocast runs also where the weights are in that dtype: LoRA is not.
        shards: Devices that FSDP2 spreads each parameter over; 1 where each device holds all of it.
        buckets: Whether DDP holds each gradient a second time.
        checkpointing: Whether the backward pass computes each layer again instead of keeping what is in it.
        qlora: How stages hold layers in 4 bits; none do without.
        lora: Dtype of LoRA's weights.
        device: Its type, `cpu` or `cuda`.
    """

    batch_size: int
    length: int
    compute: torch.dtype = torch.float32
    autocast: bool = False
    shards: int = 1
    buckets: bool = False
    checkpointing: bool = False
    qlora: QLoRA | None = None
    lora: torch.dtype = torch.float32
    device: str = "cuda"


def machine_of(config: "Namespace", trainer: "Namespace") -> Machine:
    """What a plan's configuration says that a run is planned for.

    Raises:
        UsageError: a number that cannot be, or no GPU of that name is known.
    """
    name = config.gpu or (None if trainer.accelerator == "cpu" else "H100")
    if not 0 < config.mfu <= 1:
        raise UsageError(f"mfu is {config.mfu}; wanted a share of the GPU's peak, above 0 and at most 1")
    if name is not None and name not in GPUS:
        raise UsageError(f"gpu is {name}; wanted one of {', '.join(GPUS)}")
    gpu = None if name is None else GPUS[name]
    there = memory.bound(config.memory) if config.memory is not None else gpu.memory if gpu else memory.total()
    return Machine(devices_of(trainer), gpu, there, config.mfu)


def devices_of(trainer: "Namespace") -> int:
    """All of them, on all nodes; `auto` is one, for a plan does not look which there are.

    Raises:
        UsageError: a number that cannot be.
    """
    if trainer.num_nodes < 1:
        raise UsageError(f"trainer.num_nodes is {trainer.num_nodes}; wanted at least 1")
    given = trainer.devices
    if given == "auto":
        return int(trainer.num_nodes)
    listed = given if isinstance(given, list) else str(given).strip(",").split(",")  # "0,1" are two, and so is "2"
    number = int(given) if str(given).lstrip("-").isdecimal() else len(listed)
    if number < 1 or not all(str(one).strip().lstrip("-").isdecimal() for one in listed):
        raise UsageError(f"trainer.devices is {given}; wanted a number of devices to plan for")
    return number * int(trainer.num_nodes)


def strategy_of(trainer: "Namespace") -> str:
    """Its name, or its class."""
    return str(trainer.strategy if isinstance(trainer.strategy, str) else trainer.strategy.class_path)


def setup_of(trainer: "Namespace", module: "CausalLM", devices: int, data: "Mixture", weights: torch.dtype) -> Setup:
    """How a run goes about it.

    Args:
        trainer: Its settings as they were given.
        module: The module, not loaded.
        devices: All of them, on all nodes.
        data: The mixture.
        weights: Dtype of the weights.

    Raises:
        UsageError: no plan knows the strategy, or its mesh is not over all devices.
    """
    name, strategy, mixed = strategy_of(trainer), trainer.strategy, MIXED.get(str(trainer.precision))
    init = {} if isinstance(strategy, str) else (strategy.get("init_args") or {})
    setup = Setup(
        batch_size=data.batch_size,
        length=data.packing.length,
        compute=mixed or weights,
        autocast=mixed is not None,
        device="cpu" if trainer.accelerator == "cpu" else "cuda",
        checkpointing=module.activation_checkpointing,
        qlora=module.qlora,
        lora=TRUE.get(str(trainer.precision), torch.float32),
    )
    if name == SHARDED:
        sizes = init.get("data_parallel_size"), init.get("tensor_parallel_size")
        if sizes != (devices, 1):
            raise UsageError(
                f"trainer.strategy: data_parallel_size is {sizes[0]} and tensor_parallel_size {sizes[1]}; "
                f"wanted {devices} (all devices) and 1"
            )
        return replace(setup, shards=devices)
    if name != "auto" and not name.startswith("ddp") and name not in REPLICATED:
        raise UsageError(f"trainer.strategy: {name} is none that a plan knows; wanted auto, ddp or {SHARDED}")
    return replace(setup, buckets=devices > 1 and not init.get("gradient_as_bucket_view", False))


def weights_dtype(precision: Any, wanted: str) -> torch.dtype | None:
    """Of the weights in memory; None is as they were written."""
    return TRUE.get(str(precision)) or (None if wanted == "auto" else getattr(torch, wanted))
