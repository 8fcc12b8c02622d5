"""What is frozen moves by exactly nothing, whatever trains round it: a matrix, each pair of settings at least once.

Every cell has weight decay 0.1, clipping, accumulation over 4 batches, an optimizer that is warm from a stage that
trained everything, and a gradient left on every parameter.
"""

import copy
from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch._dynamo.utils import counters

from kovocab.causal_lm import CausalLM
from kovocab.freezing import StageFreezing
from kovocab.split_rows import block_of
from kovocab.stages import STAGES
from models import Packed, expanded
from ranks import on_two

torch.set_num_threads(1)

# Architecture (Phi's head has a bias), dtype of the weights, the Trainer's precision, compiler, activation checkpoints.
CELLS = {
    "llama": ("llama", "float32", "32-true", None, False),
    "phi, bf16, checkpointed": ("phi", "bfloat16", "32-true", None, True),
    "llama, mixed, checkpointed": ("llama", "float32", "bf16-mixed", None, True),
    "phi, compiled, checkpointed": ("phi", "float32", "32-true", "aot_eager", True),
    "llama, bf16, compiled": ("llama", "bfloat16", "32-true", "aot_eager", False),
    "phi, mixed, compiled": ("phi", "float32", "bf16-mixed", "aot_eager", False),
    "llama, bf16": ("llama", "bfloat16", "32-true", None, False),
    "phi, mixed, checkpointed": ("phi", "float32", "bf16-mixed", None, True),
}
EVERY = dict(enumerate([*STAGES["eeve"], *STAGES["kosolar"]], start=1))
EVERYTHING = STAGES["eeve"][5]
# Compiling takes seconds a stage, so there each stage has one cell.
ON_ONE = [
    ("llama", EVERY),
    ("phi, bf16, checkpointed", EVERY),
    ("llama, mixed, checkpointed", EVERY),
    ("phi, compiled, checkpointed", (1, 5)),
    ("llama, bf16, compiled", (4,)),
    ("phi, mixed, compiled", (6,)),
]
ON_TWO = [
    ("llama, bf16", (1, 2, 4, 6)),
    ("phi, mixed, checkpointed", (3, 5, 7, 8)),
    ("phi, compiled, checkpointed", (3,)),
]


class Module(CausalLM):
    """`offered`, if given, is the optimizer."""

    offered = None

    def configure_optimizers(self):
        return self.offered or super().configure_optimizers()


def fit(module, stage, precision, **settings):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    freezing = StageFreezing.from_stage(stage)
    trainer = Trainer(
        callbacks=[freezing],
        max_steps=2,
        gradient_clip_val=1.0,
        accumulate_grad_batches=4,
        enable_checkpointing=False,
        precision=precision,
        **quiet | settings,
    )
    trainer.fit(module, Packed(count=16 * trainer.world_size))
    return trainer, freezing.report


def warm(module, state):
    """An optimizer of everything, with the momenta of a stage that trained everything; a gradient everywhere."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2, weight_decay=0.1)
    optimizer.load_state_dict(copy.deepcopy(state))
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    return optimizer


def parameters(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def check_cell(folder, cell, numbers, **settings):
    architecture, dtype, precision, compiler, checkpointed = CELLS[cell]
    adamw = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1)
    module = Module(str(folder / architecture), adamw, dtype=dtype)
    state = fit(module, EVERYTHING, precision, **settings)[0].optimizers[0].state_dict()
    assert len(state["state"]) == len(list(module.parameters()))
    if checkpointed:
        module.loaded.activation_checkpointing_enable({"use_reentrant": False})
    if compiler:
        module.compile(backend=compiler)
    for number in numbers:
        torch.compiler.reset()
        counters.clear()
        module.offered = warm(module, state)
        before = parameters(module)
        trainer, report = fit(module, EVERY[number], precision, **settings)
        for name, value in parameters(module).items():
            frozen = block_of(name) not in EVERY[number].blocks
            assert torch.equal(value, before[name]) == frozen, (cell, number, name)
        assert len(trainer.optimizers[0].state) == report["trained_parameters"]
        assert report["moved_parameters"] == 0
        assert report["verified_parameters"] == report["frozen_parameters"]
        assert bool(counters["stats"]["unique_graphs"]) == bool(compiler)
    assert module.loaded.dtype == getattr(torch, dtype)
    assert any(getattr(part, "gradient_checkpointing", False) for part in module.modules()) == checkpointed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("exactness")
    for architecture in ("llama", "phi"):
        expanded(made / architecture, architecture, num_hidden_layers=1)
    return made


@pytest.mark.parametrize(("cell", "numbers"), ON_ONE, ids=[cell for cell, _ in ON_ONE])
def test_one_process(folder, cell, numbers):
    check_cell(folder, cell, numbers)


def test_the_warm_optimizer_alone_moves_what_has_no_flag(folder):
    """So the checks above can fail."""
    module = Module(str(folder / "llama"), torch.optim.AdamW)
    state = fit(module, EVERYTHING, "32-true")[0].optimizers[0].state_dict()
    before = parameters(module)
    optimizer = warm(module, state)
    module.requires_grad_(False)
    optimizer.step()
    assert not [name for name, value in parameters(module).items() if torch.equal(value, before[name])]


def every_cell(folder):
    for cell, numbers in ON_TWO:
        check_cell(folder, cell, numbers, devices=2, strategy="ddp")


def test_two_processes(folder):
    on_two(every_cell, folder)
