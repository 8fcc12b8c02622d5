"""What a model makes of its head's product before its loss: some scale their logits, some cap them.

Gemma 2 caps, Cohere multiplies, Granite divides, MiniCPM3 divides what the head is given. Which it is stands in no one
place: configurations give the number, and a model's own code what is done with it. So it is read here by the names of
the numbers, and whoever trains compares with the model's own logits.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from kovocab.errors import ModelError

_CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Gemma 2, 3 and 4, VaultGemma, NanoChat, Beam; RecurrentGemma."""
_FACTORS = ("logit_scale", "lm_head_multiplier")
"""Cohere and Cohere 2; Falcon-H1."""
_DIVISOR = "logits_scaling"
"""Granite, all kinds of it."""
_MULTIPLY = ("hyperclovax",)
"""`model_type`s that multiply by what others of that key divide by."""
_DIVIDE_STATES = ("minicpm3",)
"""Those that divide what the head is given."""
_CAP_IN_FP32 = ("beam",)
"""Those that cap in fp32, whatever the dtype of the product."""


@dataclass(frozen=True)
class LogitForm:
    """How logits come from a head's product, in this order; None is not at all.

    Attributes:
        states_divisor: What hidden states are divided by before the product.
        factor: What the product is multiplied by.
        divisor: What it is divided by.
        cap: Soft cap: `cap * tanh(logits / cap)`.
        cap_in_fp32: Whether that is done in fp32, and not in the product's dtype.
    """

    states_divisor: float | None = None
    factor: float | None = None
    divisor: float | None = None
    cap: float | None = None
    cap_in_fp32: bool = False

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "LogitForm":
        """What a configuration says."""
        config = config.get_text_config()

        def number(*keys: str) -> float | None:
            return next((float(found) for key in keys if (found := getattr(config, key, None)) is not None), None)

        kind, scale = config.model_type, number(_DIVISOR)
        multiply, states = kind in _MULTIPLY, kind in _DIVIDE_STATES
        return cls(
            states_divisor=scale if states else None,
            factor=scale if multiply else number(*_FACTORS),
            divisor=None if multiply or states else scale,
            cap=number(*_CAPS),
            cap_in_fp32=kind in _CAP_IN_FP32,
        )

    def states(self, hidden: Tensor) -> Tensor:
        """What the head is given of the last hidden state."""
        return hidden if self.states_divisor is None else hidden / self.states_divisor

    def apply_(self, product: Tensor) -> Tensor:
        """The logits of a head's product, which is overwritten; rounded as the model itself rounds them."""
        if self.factor is not None:
            product.mul_(self.factor)
        if self.divisor is not None:
            product.div_(self.divisor)
        if self.cap is not None:
            product = product.float() if self.cap_in_fp32 else product
            product.div_(self.cap).tanh_().mul_(self.cap)
        return product

    def slopes(self, logits: Tensor) -> Tensor | float | None:
        """What the gradient of each logit (fp32) is multiplied with to be that of the product; None is by nothing."""
        slope = (1.0 if self.factor is None else self.factor) / (self.divisor or 1.0)
        if self.cap is None:
            return None if slope == 1 else slope
        return torch.addcmul(logits.new_tensor(slope), logits, logits, value=-slope / self.cap**2)


def check_loss(config: PreTrainedConfig, folder: str | Path) -> None:
    """See, before long work, that a configuration asks for no loss but the cross entropy of the logits.

    Raises:
        ModelError: it does; names the key.
    """
    config = config.get_text_config()
    for key in ("output_router_logits", "z_loss_coefficient"):
        if said := getattr(config, key, None):
            raise ModelError(
                f"{folder}/config.json has {key} {str(said).lower()}, so {config.model_type} adds to its loss what is "
                "not computed here; wanted it false or 0"
            )


PLAIN = LogitForm()
"""Logits that are the product."""
