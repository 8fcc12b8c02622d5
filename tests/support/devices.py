"""Where a test runs: on the CPU always, and the same test on an NVIDIA GPU where there is one (`make gpu`)."""

import pytest

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
"""Values of a parameter `device`."""


def on(device):
    """A Trainer's settings: one device of that kind."""
    return {"accelerator": {"cpu": "cpu", "cuda": "gpu"}[device], "devices": 1}
