"""The devices that a run is planned for, and how long they take."""

from dataclasses import dataclass

import torch

from kovocab.machine.gpus import Gpu


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
