"""Every stage of both cards: what is frozen moves by exactly nothing, what trains moves."""

import pytest
import torch
from lightning.pytorch import Trainer

from kovocab.errors import FreezingError, UsageError
from kovocab.expanding.split_rows import block_of, split_rows
from kovocab.freezing.callback import StageFreezing, freeze
from kovocab.model.causal_lm import CausalLM
from kovocab.stages import STAGES, Stage
from support.models import QUIET, ROWS, Packed, adamw, expanded, ids, parameters, tiny

torch.set_num_threads(1)

# The table of DESIGN §8, word for word: stage, input rows, output rows, layers.
TABLE = {
    1: {"input_new"},
    2: {"output_new"},
    3: {"input_new", "output_new"},
    4: {"output_old", "output_new"},
    5: {"input_new", "output_old", "output_new"},
    6: {"input_old", "input_new", "output_old", "output_new", "layers"},
    7: {"layers"},
}
EVERY = [("eeve", number, stage) for number, stage in enumerate(STAGES["eeve"], start=1)]
EVERY += [("kosolar", 5, stage) for stage in STAGES["kosolar"]]


def trainer(**settings):
    options = {"enable_checkpointing": False, "max_steps": 3} | QUIET | settings
    return Trainer(gradient_clip_val=1.0, accumulate_grad_batches=4, **options)


def test_presets_are_the_table_of_the_cards():
    assert [stage.blocks for stage in STAGES["eeve"]] == list(TABLE.values())
    assert [stage.blocks for stage in STAGES["kosolar"]] == [TABLE[5]]
    with pytest.raises(UsageError, match="trains nothing"):
        Stage()


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize(("card", "number", "stage"), EVERY)
def test_patterns_choose_the_blocks(architecture, card, number, stage):
    model = split_rows(tiny(architecture), 90)
    module = torch.nn.ModuleDict({"model": model})
    freeze(module, stage.patterns)
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad == (block_of(name) in TABLE[number]), name


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_seven_stages_one_after_the_other(architecture, dtype, tmp_path):
    """One module through the whole card: weight decay, clipping, accumulation, fresh optimizers."""
    module = CausalLM(str(expanded(tmp_path / "model", architecture, dtype=dtype)), adamw)
    for number, stage in enumerate(STAGES["eeve"], start=1):
        check_stage(module, stage, TABLE[number], dtype)


@pytest.mark.parametrize("architecture", ["llama", "phi"])
def test_the_one_stage_of_kosolar(architecture, tmp_path):
    module = CausalLM(str(expanded(tmp_path / "model", architecture)), adamw)
    check_stage(module, STAGES["kosolar"][0], TABLE[5], torch.float32)


def check_stage(module, stage, blocks, dtype):
    module.configure_model()
    before = parameters(module)
    freezing = StageFreezing.from_stage(stage)
    running = trainer(callbacks=[freezing])
    running.fit(module, Packed())
    assert module.trainable_blocks == blocks
    for name, value in parameters(module).items():
        assert value.dtype == dtype
        frozen = block_of(name) not in blocks
        assert torch.equal(value, before[name]) == frozen, name
    trains = {id(p) for n, p in module.named_parameters() if block_of(n) in blocks}
    assert {id(p) for p in running.optimizers[0].state} == trains
    assert freezing.report["trained_parameters"] == len(trains)
    assert freezing.report["verified_parameters"] == len(before) - len(trains)
    assert freezing.report["moved_parameters"] == 0


def test_the_hook_of_the_cards_moves_old_rows():
    """What StageFreezing is for: the same stage as the cards print it. So this file's check can fail."""
    model = tiny().train().requires_grad_(False)

    def freeze_partial_embedding_hook(grad):
        grad[:90] = 0
        return grad

    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        module.weight.requires_grad_()
        module.weight.register_hook(freeze_partial_embedding_hook)
    before = parameters(model)
    optimizer = adamw(model.parameters())
    for batch in Packed().train_dataloader():
        model(**batch, labels=batch["input_ids"]).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert not any(p.grad[:90].any() for p in model.parameters() if p.grad is not None)
        optimizer.zero_grad()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert (model.get_parameter(name)[:90] - before[name][:90]).abs().max() > 1e-4


def test_tied_embeddings_refuse_the_stages_that_mean_two_things(tmp_path):
    folder = str(expanded(tmp_path / "model", tie_word_embeddings=True))
    for number, stage in enumerate(STAGES["eeve"], start=1):
        module = CausalLM(folder, adamw)
        freezing = StageFreezing.from_stage(stage)
        running = trainer(callbacks=[freezing])
        if number in (1, 2, 4, 5):
            with pytest.raises(FreezingError, match="but they are one parameter"):
                running.fit(module, Packed())
        else:
            running.fit(module, Packed())
            assert freezing.report["moved_parameters"] == 0


@pytest.mark.parametrize("number", [2, 4])
def test_nothing_is_recorded_below_the_output(number, tmp_path):
    module = CausalLM(str(expanded(tmp_path / "model")), adamw)
    module.configure_model()
    seen = []
    module.loaded.base_model.register_forward_hook(
        lambda *call: seen.append((call[-1].last_hidden_state.requires_grad, torch.is_grad_enabled()))
    )
    for stage in (STAGES["eeve"][number - 1], STAGES["eeve"][4]):
        freeze(module, stage.patterns)
        batch = ids(ROWS)
        module(batch, batch).backward()
    assert seen == [(False, False), (True, True)]
