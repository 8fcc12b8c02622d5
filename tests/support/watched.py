"""A fit on two processes, and what it moved."""

import torch
from lightning.pytorch import Callback, Trainer

from kovocab.expanding.split_rows import block_of
from support.models import QUIET, Packed, parameters


class Watch(Callback):
    """Keeps the parameters from before and after, the blocks that moved, and how much the optimiser holds."""

    def on_fit_start(self, trainer, pl_module):
        self.before = parameters(pl_module)

    def on_train_end(self, trainer, pl_module):
        self.after = parameters(pl_module)
        self.moved = {block_of(n) for n in self.after if not torch.equal(self.after[n], self.before[n])}
        self.state = len(trainer.optimizers[0].state)


def fit(module, strategy, callbacks):
    """Three steps of four batches on each of two processes."""
    settings = QUIET | {"devices": 2, "enable_checkpointing": False, "max_steps": 3}
    settings |= {"gradient_clip_val": 1.0, "accumulate_grad_batches": 4}
    trainer = Trainer(strategy=strategy, callbacks=callbacks, **settings)
    # On one rank no batch has a new token: its gradient for new rows is zeros, and not absent.
    trainer.fit(module, Packed(high=90 if trainer.global_rank else 100))
