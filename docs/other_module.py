"""Two stages of a LightningModule that knows nothing of kovocab.

    python docs/other_module.py

`LanguageModel` stands for yours: it has its own layers and loss, and gives its optimizer all of its parameters. Two
things are added from outside. `split_rows` puts the embeddings of a Hugging Face model in two blocks, the rows up to
`first_new_id` and those from it on; `StageFreezing` says by parameter names what a fit trains. What the names do not
choose is frozen to the last bit, or the fit fails.
"""

import tempfile
from collections.abc import Iterator

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from kovocab import StageFreezing
from kovocab.expanding.split_rows import save_plain, split_rows


class LanguageModel(LightningModule):
    """Somebody's module."""

    def __init__(self, lm: PreTrainedModel) -> None:
        super().__init__()
        self.lm = lm

    def training_step(self, batch: Tensor) -> Tensor:
        """Its own loss."""
        return self.lm(input_ids=batch, labels=batch).loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Everything, with weight decay, as most modules have it."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.1)


STAGES = {
    "new rows of both embeddings": ["*.input_new", "*.output_new"],
    "the upper layer but for its norms, and all output rows": ["*.layers.1.*", "!*norm*", "*.output_*"],
}
"""Patterns as of `fnmatch`, the last that matches wins, and `!` takes back. One that matches nothing is an error."""


def expanded_model(first_new_id: int = 90, rows: int = 100) -> PreTrainedModel:
    """A small model with random weights, of which the rows from `first_new_id` on are new, in two blocks."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=rows, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    return split_rows(AutoModelForCausalLM.from_config(config), first_new_id)


def two_stages(module: LightningModule, loader: DataLoader) -> Iterator[dict[str, int]]:
    """Train one stage after the other, each a fit with a new Trainer and optimizer; what each trained and froze."""
    for train in STAGES.values():
        freezing = StageFreezing(train)
        trainer = Trainer(
            max_epochs=1,
            callbacks=[freezing],
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
        yield freezing.report


def main() -> None:
    """Train, then save in the plain layout, which every Hugging Face tool opens."""
    lm = expanded_model()
    loader = DataLoader(list(torch.randint(0, 100, (32, 16))), batch_size=4)
    for name, report in zip(STAGES, two_stages(LanguageModel(lm), loader), strict=True):
        print(f"{name}: {report}")
    with tempfile.TemporaryDirectory() as folder:
        save_plain(lm, folder)
        plain = AutoModelForCausalLM.from_pretrained(folder)
    print(f"saved: {type(plain.lm_head).__name__} with {plain.lm_head.weight.shape[0]} rows")


if __name__ == "__main__":
    main()
