"""What is frozen moves by exactly nothing, whatever trains round it: a matrix, each pair of settings at least once.

Every cell has weight decay 0.1, clipping, accumulation over 4 batches, an optimizer that is warm from a stage that
trained everything, and a gradient left on every parameter.
"""

import copy
from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch._dynamo.utils import counters

from kovocab.expanding.split_rows import block_of
from kovocab.freezing.callback import StageFreezing
from kovocab.model.causal_lm import CausalLM
from kovocab.stages import STAGES
from support.devices import on
from support.models import QUIET, Packed, adamw, expanded, parameters
from support.ranks import on_two

torch.set_num_threads(1)
pytestmark = [
    # The compiler looks, where nothing is amiss, and takes the warning that pytest makes an error for a failure.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores"),  # of a GPU that has them
]

# Architecture (Phi's head has a bias, Gemma 2's logits a cap), dtype of the weights, the Trainer's precision, compiled,
# activation checkpoints.
CELLS = {
    "llama": ("llama", "float32", "32-true", False, False),
    "phi, bf16, checkpointed": ("phi", "bfloat16", "32-true", False, True),
    "llama, mixed, checkpointed": ("llama", "float32", "bf16-mixed", False, True),
    "phi, compiled, checkpointed": ("phi", "float32", "32-true", True, True),
    "llama, bf16, compiled": ("llama", "bfloat16", "32-true", True, False),
    "phi, mixed, compiled": ("phi", "float32", "bf16-mixed", True, False),
    "llama, bf16": ("llama", "bfloat16", "32-true", False, False),
    "phi, mixed, checkpointed": ("phi", "float32", "bf16-mixed", False, True),
    "gemma2, mixed": ("gemma2", "float32", "bf16-mixed", False, False),
}
COMPILERS = {"cpu": "aot_eager", "cuda": "inductor"}
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
    ("gemma2, mixed", EVERY),
]
# What a GPU is trained in; inductor keeps what it compiled for a stage that is the same to the layers.
ON_GPU = [
    ("llama, bf16", EVERY),
    ("phi, bf16, checkpointed", EVERY),
    ("llama, bf16, compiled", EVERY),
    ("phi, mixed, compiled", (1, 2, 6, 7)),
]
CASES = [pytest.param("cpu", cell, numbers, id=f"cpu: {cell}") for cell, numbers in ON_ONE]
CASES += [pytest.param("cuda", *case, id=f"cuda: {case[0]}", marks=pytest.mark.gpu) for case in ON_GPU]
ON_TWO = [
    ("llama, bf16", "ddp", (1, 2, 4, 6)),
    ("phi, mixed, checkpointed", "ddp", (3, 5, 7, 8)),
    ("phi, compiled, checkpointed", "ddp", (3,)),
    ("phi, mixed, checkpointed", "fsdp2", (1, 2, 4, 6)),
    ("llama, bf16", "fsdp2", (3, 5, 7, 8)),
    ("phi, compiled, checkpointed", "fsdp2", (3,)),
    ("gemma2, mixed", "ddp", (2, 6)),
    ("gemma2, mixed", "fsdp2", (3, 6)),
]
STRATEGIES = {
    "ddp": DDPStrategy,
    "fsdp2": partial(ModelParallelStrategy, data_parallel_size=2, tensor_parallel_size=1),
}


class Module(CausalLM):
    """Its optimizer has the momenta of a stage that trained everything, if they are given, and all have a gradient."""

    momenta = None

    def configure_optimizers(self):
        self.before = parameters(self)
        return super().configure_optimizers() if self.momenta is None else warm(self, self.momenta)


def fit(module, stage, precision, **settings):
    freezing = StageFreezing.from_stage(stage)
    trainer = Trainer(
        callbacks=[freezing],
        max_steps=2,
        gradient_clip_val=1.0,
        accumulate_grad_batches=4,
        enable_checkpointing=False,
        precision=precision,
        **QUIET | settings,
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


def check_cell(folder, cell, numbers, strategy=None, device="cpu", **settings):
    architecture, dtype, precision, compiled, checkpointed = CELLS[cell]
    compiler = COMPILERS[device] if compiled else None

    def fitted(stage, momenta=None):
        torch.compiler.reset()
        counters.clear()
        module = Module(str(folder / architecture), adamw, None, dtype, checkpointed, compiler=compiler)
        module.momenta = momenta
        how = settings if strategy is None else settings | {"strategy": STRATEGIES[strategy]()}
        trainer, report = fit(module, stage, precision, **how)
        assert bool(counters["stats"]["unique_graphs"]) == compiled
        assert trainer.strategy.root_device.type == device
        return module, trainer, report

    module, trainer, _ = fitted(EVERYTHING)
    momenta = trainer.optimizers[0].state_dict()
    assert len(momenta["state"]) == len(list(module.parameters()))
    for number in numbers:
        module, trainer, report = fitted(EVERY[number], momenta)
        for name, value in parameters(module).items():
            frozen = block_of(name) not in EVERY[number].blocks
            assert torch.equal(value, module.before[name]) == frozen, (cell, strategy, number, name)
        assert len(trainer.optimizers[0].state) == report["trained_parameters"]
        assert report["moved_parameters"] == 0
        assert report["verified_parameters"] == report["frozen_parameters"]
        assert module.loaded.dtype == getattr(torch, dtype)
        assert any(getattr(part, "gradient_checkpointing", False) for part in module.modules()) == checkpointed
        assert module.is_sharded == (strategy == "fsdp2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("exactness")
    # The last scales what it looks up and caps its logits.
    capped = {"head_dim": 8, "final_logit_softcapping": 5.0, "tie_word_embeddings": False}
    for architecture, settings in {"llama": {}, "phi": {}, "gemma2": capped}.items():
        expanded(made / architecture, architecture, num_hidden_layers=1, **settings)
    return made


@pytest.mark.parametrize(("device", "cell", "numbers"), CASES)
def test_one_process(folder, device, cell, numbers):
    check_cell(folder, cell, numbers, device=device, **on(device))


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
    for cell, strategy, numbers in ON_TWO:
        check_cell(folder, cell, numbers, strategy, devices=2)


def test_two_processes(folder):
    on_two(every_cell, folder)
