"""Tiny models made on the spot: Llama, and Phi, whose head has a bias."""

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PhiConfig, PreTrainedModel

ROWS = 100
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}


def tiny(architecture="llama", rows=ROWS, dtype=torch.float32, seed=0, **settings) -> PreTrainedModel:
    """A model of the `architecture` with random weights, and biases that are not zero."""
    torch.manual_seed(seed)
    config = {"llama": LlamaConfig, "phi": PhiConfig}[architecture]
    made = AutoModelForCausalLM.from_config(config(vocab_size=rows, **(SIZES | settings)), dtype=dtype)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.5)
    return made.eval()


def ids(high=ROWS, shape=(2, 12), seed=0) -> torch.Tensor:
    """Random token ids below `high`."""
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))
