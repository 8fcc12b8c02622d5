"""The GPUs that a plan can name: what they compute and hold. No torch here.

Peaks are of the makers' data sheets, dense, with fp32 accumulation: NVIDIA H100, H200, A100, L40S, L4 and A10 Tensor
Core GPU data sheets and the Ada GPU architecture white paper (RTX 4090). Memory is what a program gets of what the
sheet says, rounded down.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One device.

    Attributes:
        bf16: FLOPs a second, dense, of matrix products in bf16 or fp16.
        fp32: The same in fp32, without TF32, as torch computes unless told otherwise.
        memory: Bytes.
    """

    bf16: float
    fp32: float
    memory: int


GPUS = {
    "H100": Gpu(989.4e12, 66.9e12, 79 << 30),  # SXM
    "H100-PCIe": Gpu(756e12, 51.2e12, 79 << 30),
    "H200": Gpu(989.4e12, 66.9e12, 139 << 30),  # SXM
    "A100": Gpu(312e12, 19.5e12, 79 << 30),  # 80 GB
    "A100-40GB": Gpu(312e12, 19.5e12, 39 << 30),
    "L40S": Gpu(362e12, 91.6e12, 44 << 30),
    "L4": Gpu(121e12, 30.3e12, 22 << 30),
    "A10": Gpu(125e12, 31.2e12, 22 << 30),
    "RTX4090": Gpu(165.2e12, 82.6e12, 23 << 30),
}

_NAMES = {
    "H100": "H100 80GB HBM3",
    "H100-PCIe": "H100 PCIe",
    "H200": "H200",
    "A100": "A100-SXM4-80GB|A100 80GB PCIe",
    "A100-40GB": "A100-(SXM4|PCIE)-40GB",
    "L40S": "L40S",
    "L4": "L4",
    "A10": "A10",
    "RTX4090": "GeForce RTX 4090",
}

MFU = 0.4
"""Share of a peak that is used, where nobody says: of a model that is large, or compiled."""


def named(name: str) -> str | None:
    """Which of `GPUS` a device is, by the name that its driver gives; None if it is none of them (an H100 NVL, say)."""
    return next((gpu for gpu, pattern in _NAMES.items() if re.fullmatch(rf"(NVIDIA )?({pattern})", name)), None)
