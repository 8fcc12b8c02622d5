"""A tied base with two matrices: the same logits, told by the record, and every stage trains it."""

import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from kovocab.cli.main import main
from kovocab.expanding.expand import expand
from kovocab.expanding.split_rows import is_tied, untie_embeddings
from kovocab.fitting import fit
from kovocab.record import read_record, write_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.base import BASE_TOKENS, NEW_TOKENS, corpus, save_tokenizer, texts
from support.expanded import REFINED, vocabulary
from support.models import ids, tiny

torch.set_num_threads(1)


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_untied_model_gives_the_same_logits(architecture, dtype, tmp_path):
    model = tiny(architecture, dtype=dtype, tie_word_embeddings=True)
    before = model(ids()).logits
    assert untie_embeddings(model)
    assert not is_tied(model)
    assert torch.equal(model(ids()).logits, before)
    assert not untie_embeddings(model)
    inputs = model.get_input_embeddings().weight.clone()
    with torch.no_grad():
        model.get_output_embeddings().weight[5] += 1
    assert torch.equal(model.get_input_embeddings().weight, inputs)
    model.resize_token_embeddings(112, mean_resizing=False)
    assert not is_tied(model)
    model.save_pretrained(tmp_path)
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert not again.config.tie_word_embeddings
    changed = again(ids()).logits[..., : before.shape[-1]] != before
    assert set(changed.nonzero()[:, -1].tolist()) == {5}


def test_new_rows_of_an_untied_model_are_by_each_matrix_s_own_rule():
    model = tiny(rows=BASE_TOKENS, tie_word_embeddings=True)
    old = model.get_input_embeddings().weight.detach().clone()
    expand(model, vocabulary(), first_new_id=BASE_TOKENS, untie=True)
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    for matrix in (inputs, outputs):
        assert torch.equal(matrix[:BASE_TOKENS], old)
    for row, pieces in vocabulary().select("id", "base_pieces").iter_rows():
        torch.testing.assert_close(inputs[row], old[pieces].mean(dim=0))
        assert torch.equal(outputs[row], old[pieces[0]])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tied base and what refine would leave for it."""
    folder = tmp_path_factory.mktemp("place")
    tiny(rows=BASE_TOKENS, tie_word_embeddings=True).save_pretrained(folder / "base")
    (folder / "refined").mkdir()
    save_tokenizer(folder / "refined")
    tokens = load_tokenizer(folder / "refined").tokens
    named = vocabulary().with_columns(token=pl.col("id").replace_strict(tokens, return_dtype=pl.String))
    named.write_parquet(folder / "refined/vocabulary.parquet")
    write_record(folder / "refined", REFINED)
    corpus(folder, "ko", texts(200))
    return folder


EXPAND = ["expand", "--model", "base", "--tokenizer", "refined", "--out"]
FIT = """
model: {model: untied}
data: {sources: [{name: ko, corpus: ko.jsonl}], length: 16, batch_size: 4, validation_share: 0.05}
trainer: {accelerator: cpu, devices: 1}
defaults: {lr: 1e-2, steps: 1}
run: run
"""


def test_all_seven_stages_train_an_untied_base(in_place, capsys):
    assert main([*EXPAND, "untied", "--untie", "true"]) == 0
    assert f"{NEW_TOKENS} new tokens from id {BASE_TOKENS}: 320 rows, float32, untied" in capsys.readouterr().out
    record = read_record("untied")
    assert (record["tied"], record["untied"]) == (False, True)
    assert record["initialisation"]["output"] == "row of the first base piece"
    logits = [AutoModelForCausalLM.from_pretrained(name)(ids(BASE_TOKENS)).logits for name in ("base", "untied")]
    assert torch.equal(logits[0], logits[1][..., :BASE_TOKENS])
    Path("fit.yaml").write_text(FIT)
    assert fit.main(["fit", "--config", "fit.yaml"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert read_record("run/stages/7")["of"] == 7
    assert not AutoModelForCausalLM.from_pretrained("run/stages/7").config.tie_word_embeddings


def test_a_tied_base_that_stays_tied_is_told_how_to_untie_it(in_place, capsys):
    shutil.rmtree("tied", ignore_errors=True)
    assert main([*EXPAND, "tied"]) == 0
    told = "tied: of eeve's stages 1, 2 and 3 are one and the same, and so are 4 and 5; 3, 6 and 7 train"
    assert told in capsys.readouterr().out
    record = read_record("tied")
    assert (record["tied"], record["untied"]) == (True, False)
    assert record["initialisation"]["output"] == record["initialisation"]["input"]
    Path("tied.yaml").write_text(FIT)
    assert main(["fit", "--config", "tied.yaml", "--model.model", "tied", "--run", "other"]) == 1
    assert "or a base with two matrices: `kovocab expand --untie true`" in capsys.readouterr().err


def test_nothing_to_untie(in_place):
    tiny(rows=BASE_TOKENS).save_pretrained("plain")
    assert main(["expand", "--model", "plain", "--tokenizer", "refined", "--out", "grown", "--untie", "true"]) == 0
    assert read_record("grown")["untied"] is False
