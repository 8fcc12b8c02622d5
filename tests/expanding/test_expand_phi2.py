"""phi-2's counts: 50,295 tokens, 51,200 rows, a bias for each; new ids take padding rows first."""

import polars as pl
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from kovocab.expanding.expand import expand
from kovocab.expanding.split_rows import block_of, fused_state_dict, split_rows
from kovocab.freezing.callback import StageFreezing
from kovocab.model.causal_lm import CausalLM
from kovocab.record import write_record
from kovocab.stages import STAGES
from support import records
from support.models import QUIET, Packed, adamw, parameters, phi2
from support.ranks import on_two

torch.set_num_threads(1)
TOKENS, ROWS = 50_295, 51_200


def vocabulary(count):
    """New tokens of one to four base pieces, among them of the 38 added ones and the last."""
    pieces = [[(7919 * i + k * 50_294) % TOKENS for k in range(1 + i % 4)] for i in range(count)]
    table = {"id": range(TOKENS, TOKENS + count), "token": [f"새{i}" for i in range(count)], "base_pieces": pieces}
    return pl.DataFrame(table, schema={"id": pl.UInt32, "token": pl.String, "base_pieces": pl.List(pl.UInt32)})


@pytest.mark.parametrize(
    ("count", "multiple", "rows"),
    [(1, None, ROWS), (905, None, ROWS), (905, 64, ROWS), (906, None, 51_201), (8960, None, 59_255),
     (8960, 64, 59_264)],
)  # fmt: skip
def test_new_ids_take_padding_rows_before_the_matrix_grows(count, multiple, rows):
    model = phi2()
    old_in, old_out, old_bias = (part.detach().clone() for part in embeddings(model))
    table = vocabulary(count)
    expand(model, table, first_new_id=TOKENS, pad_to_multiple_of=multiple)
    inputs, outputs, bias = embeddings(model)
    assert model.config.vocab_size == len(inputs) == len(outputs) == len(bias) == rows
    last = TOKENS + count
    for after, before in ((inputs, old_in), (outputs, old_out), (bias, old_bias)):
        assert torch.equal(after[:TOKENS], before[:TOKENS])
        assert torch.equal(after[last:ROWS], before[last:])  # padding that is left is the base's
        mean = before[:TOKENS].mean(dim=0)
        torch.testing.assert_close(after[max(last, ROWS) :], mean.expand_as(after[max(last, ROWS) :]))
    pieces = table["base_pieces"].to_list()
    first = [ids[0] for ids in pieces]
    assert torch.equal(outputs[TOKENS:last], old_out[first])
    assert torch.equal(bias[TOKENS:last], old_bias[first])
    for row in range(0, count, 97):
        torch.testing.assert_close(inputs[TOKENS + row], old_in[pieces[row]].mean(dim=0))


def embeddings(model):
    head = model.get_output_embeddings()
    return model.get_input_embeddings().weight, head.weight, head.bias


def test_the_blocks_are_cut_at_the_first_new_id_and_come_together_again():
    """Not at the end of the base's rows, which is 905 later."""
    model = expand(phi2(), vocabulary(1000), first_new_id=TOKENS)
    plain = {name: value.clone() for name, value in model.state_dict().items()}
    split_rows(model, TOKENS)
    head = model.get_output_embeddings()
    assert len(head.output_old) == len(head.output_old_bias) == TOKENS
    assert len(head.output_new) == len(head.output_new_bias) == 1000
    assert torch.equal(head.output_new_bias, plain["lm_head.bias"][TOKENS:])
    biases = [name for name, _ in model.named_parameters() if name.endswith("layernorm.bias")]
    assert len(biases) == 3  # of each of two layers, and the last
    assert {block_of(name) for name in biases} == {"layers"}
    fused = fused_state_dict(model)
    assert fused.keys() == plain.keys()
    assert all(torch.equal(fused[name], value) for name, value in plain.items())


def trained(folder, number, **settings):
    """The blocks of parameters that a stage moved, and the entries of the head's bias."""
    module = CausalLM(str(folder), adamw)
    freezing = StageFreezing.from_stage(STAGES["eeve"][number - 1])
    trainer = Trainer(max_steps=2, callbacks=[freezing], enable_checkpointing=False, **QUIET | settings)
    before = {}
    module.on_fit_start = lambda: before.update(parameters(module))
    trainer.fit(module, Packed(high=TOKENS + 1000, count=8))
    after = parameters(module)
    assert freezing.report["moved_parameters"] == 0
    assert freezing.report["verified_parameters"] == freezing.report["frozen_parameters"]
    return sorted(name for name, value in after.items() if not torch.equal(value, before[name]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("phi2")
    expand(phi2(), vocabulary(1000), first_new_id=TOKENS).save_pretrained(made)
    write_record(made, records.expanded(TOKENS, TOKENS + 1000))
    return made


@pytest.mark.parametrize("number", range(1, 8))
def test_each_stage_moves_its_rows_and_their_biases(folder, number):
    moved = trained(folder, number)
    blocks = STAGES["eeve"][number - 1].blocks
    assert {block_of(name) for name in moved} == blocks
    for block in ("old", "new"):
        assert (f"model.lm_head.output_{block}_bias" in moved) == (f"output_{block}" in blocks)
    norms = [name for name in moved if name.endswith("layernorm.bias")]
    assert len(norms) == (3 if "layers" in blocks else 0)


def on_both(folder):
    sharded = {"data_parallel_size": 2, "tensor_parallel_size": 1}
    for number, strategy in ((2, DDPStrategy()), (4, ModelParallelStrategy(**sharded))):
        moved = trained(folder, number, devices=2, strategy=strategy)
        halves = ("new",) if number == 2 else ("new", "old")
        assert moved == sorted(f"model.lm_head.output_{half}{end}" for half in halves for end in ("", "_bias"))


def test_on_two_processes(folder):
    on_two(on_both, folder)
