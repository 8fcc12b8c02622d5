"""Tiny models made on the spot (Llama, and Phi, whose head has a bias), and ids to train them on."""

from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from kovocab.record import write_record
from support import records

ROWS = 100
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
"""Settings of a Trainer that says nothing."""

adamw = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1)
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
    config = AutoConfig.for_model(architecture, vocab_size=rows, **(SIZES | settings))
    made = AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.5)
    return made.eval()


def phi2(hidden_size=20, **settings) -> PreTrainedModel:
    """phi-2 but for its sizes: as many tokens and rows, a partial rotary embedding, a bias everywhere."""
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.4}
    sizes = {"hidden_size": hidden_size, "intermediate_size": 2 * hidden_size, "num_attention_heads": 2}
    ids = {"bos_token_id": 50256, "eos_token_id": 50256}
    return tiny("phi", 51_200, num_key_value_heads=2, rope_parameters=rope, **sizes, **ids, **settings)


def ids(high=ROWS, shape=(2, 12), seed=0) -> torch.Tensor:
    """Random token ids below `high`."""
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


def parameters(module) -> dict[str, torch.Tensor]:
    """A copy of every parameter on the CPU, by name; gathered, where it is sharded."""
    named = module.named_parameters()
    return {name: (p.full_tensor() if isinstance(p, DTensor) else p).detach().cpu().clone() for name, p in named}


def expanded(folder: Path, architecture="llama", rows=ROWS, first_new_id=90, **settings) -> Path:
    """A folder as `kovocab expand` leaves it, of a tiny model."""
    tiny(architecture, rows, **settings).save_pretrained(folder)
    write_record(folder, records.expanded(first_new_id, rows))
    return folder


class Packed(LightningDataModule):
    """Packed token ids as kovocab's data module gives them: `{"input_ids": [batch, length]}`."""

    def __init__(self, high=ROWS, count=48, length=12, batch_size=2):
        super().__init__()
        self.rows = [{"input_ids": row} for row in ids(high, (count, length))]
        self.batch_size = batch_size

    def train_dataloader(self):
        return DataLoader(self.rows, batch_size=self.batch_size)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader
