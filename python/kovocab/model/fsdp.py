"""FSDP2: the decoder layers, and then the root whose forward is the loss, sharded over a strategy's mesh."""

import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, SingleDeviceStrategy, Strategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from kovocab.errors import UsageError


def check_strategy(strategy: Strategy) -> None:
    """Refuse a strategy that would leave no artefact, or whose mesh does not shard over all processes.

    Raises:
        UsageError: names what is wanted.
    """
    known = isinstance(strategy, SingleDeviceStrategy | DDPStrategy | ModelParallelStrategy)
    # Spawned or forked, the processes that train are none that goes on to write what they trained.
    start = getattr(strategy, "_start_method", "popen")
    if not known or start != "popen":
        how = f" by {start}" if known else ""
        raise UsageError(
            f"trainer.strategy: {type(strategy).__name__}{how} is none that fit knows; "
            "wanted auto, ddp, or lightning.pytorch.strategies.ModelParallelStrategy to shard parameters"
        )
    if isinstance(strategy, ModelParallelStrategy):
        data, tensor = strategy._data_parallel_size, strategy._tensor_parallel_size
        _check_sizes(
            strategy.num_nodes if data == "auto" else data,
            strategy.num_processes if tensor == "auto" else tensor,
            strategy.world_size,
        )


def layout(strategy: Strategy) -> str:
    """How a strategy's checkpoints hold the parameters; one of another layout cannot be gone on from."""
    if isinstance(strategy, ModelParallelStrategy):
        return f"sharded over {strategy.world_size} processes"
    return "whole"


def data_mesh(mesh: DeviceMesh | None) -> DeviceMesh | None:
    """The mesh to shard over, of the mesh that `ModelParallelStrategy` gives a module; none without one.

    Raises:
        UsageError: it has a second dimension, tensor parallel, over which nothing would be sharded.
    """
    if mesh is None:
        return None
    _check_sizes(mesh["data_parallel"].size(), mesh["tensor_parallel"].size(), mesh.size())
    return mesh["data_parallel"]


def shard(root: nn.Module, model: PreTrainedModel, mesh: DeviceMesh, *, bf16: bool) -> None:
    """Shard each decoder layer of `model` and then `root`, which holds it; weights may be on the meta device.

    Args:
        root: Whose forward gives the loss; every other call to the model goes through it.
        model: Part of the root.
        mesh: Of one dimension.
        bf16: Gather and compute in bf16 and reduce gradients in fp32; the shards keep their own dtype, so
            with fp32 weights the optimizer steps on fp32 masters.
    """
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    for layer in decoder_layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(root, mesh=mesh, mp_policy=policy)


def decoder_layers(model: nn.Module) -> list[GradientCheckpointingLayer]:
    """The layers of a model of transformers, first to last."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def _check_sizes(data: int, tensor: int, world: int) -> None:
    if (data, tensor) != (world, 1):
        raise UsageError(
            f"trainer.strategy: a mesh of data_parallel_size {data} x tensor_parallel_size {tensor} does not shard "
            f"over all {world} processes (Lightning's default does not); wanted data_parallel_size: {world}, "
            "tensor_parallel_size: 1"
        )
