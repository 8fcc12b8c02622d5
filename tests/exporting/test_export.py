"""Export: what the hub gets is what was trained, and says how."""

import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from kovocab.cli.main import main
from kovocab.errors import ArtefactError, ModelError, TokenizerError
from kovocab.exporting.export import export
from kovocab.model.causal_lm import CausalLM
from kovocab.record import read_record, write_record
from support.base import BASE_TOKENS
from support.runs import fit, make_place

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
defaults: {lr: 1e-2, steps: 2}
schedule: [{input_rows: new}, {output_rows: all}]
"""


@pytest.fixture(scope="module", params=["llama", "phi"])
def run(request, tmp_path_factory):
    folder = make_place(tmp_path_factory.mktemp(request.param), CONFIG, architecture=request.param)
    with chdir(folder):
        fit("run")
    return folder / "run"


def test_the_export_opens_everywhere_and_gives_the_trained_logits(run, tmp_path):
    record = export(run, tmp_path / "hub", name="someone/some-model")
    assert record["name"] == "someone/some-model"
    assert read_record(tmp_path / "hub", "export") == record
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "hub")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hub")
    plain = Tokenizer.from_file(str(tmp_path / "hub" / "tokenizer.json"))
    for text in ("나무 그늘", "old trees"):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        assert ids[0].tolist() == plain.encode(text).ids
        assert ids.max() < model.get_input_embeddings().num_embeddings
        stage = AutoModelForCausalLM.from_pretrained(run / "stages/2")
        trained = CausalLM(str(run / "stages/2"))
        trained.configure_model()
        with torch.no_grad():
            logits = model(ids).logits
            assert torch.equal(logits, stage(ids).logits)
            # Two products instead of one: equal up to rounding.
            torch.testing.assert_close(logits, trained.eval()(ids), atol=1e-5, rtol=1e-5)
        made = model.generate(ids, max_new_tokens=5, do_sample=False)
        assert made.shape[1] > ids.shape[1]
    assert model.generation_config.bos_token_id == tokenizer.bos_token_id
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("artefact", ["expanded", "run/stages/1", "export"])
def test_who_may_read_a_folder_may_read_its_weights(street, artefact):
    assert len({file.stat().st_mode for file in (street / artefact).iterdir()}) == 1


def test_the_card_is_filled_from_the_records(run, tmp_path):
    export(run, tmp_path / "hub", name="some-model")
    card = (tmp_path / "hub" / "README.md").read_text()
    assert card.startswith("---\nlanguage:\n- ko\n- en\n")
    assert "base_model: example/base" in card
    assert "# some-model" in card
    assert f"ids {BASE_TOKENS} to {BASE_TOKENS + 31}" in card
    assert "counting 1 file (1,234 bytes): 4,321 documents, 98,765 words between white space." in card
    assert "| min_count | 5 |" in card
    assert "| 1 | 40 | 0 | 8 | 0 | 2.5 | 3.1 |" in card
    for number in (1, 2):
        loss = read_record(run / "stages" / str(number))["loss"]
        row = next(
            line for line in card.splitlines() if line.startswith(f"| {number} | ") and " | none | 0.01 |" in line
        )
        assert f"| {loss['train']:.4g} | {loss['val_before']:.4g} | {loss['val']:.4g} |" in row
    assert "None" not in card


def test_a_stage_in_the_middle_says_so(run, tmp_path):
    stage = tmp_path / "stage"
    shutil.copytree(run / "stages/1", stage)
    record = read_record(stage)
    record["base"]["base_model"] = "../bases/mine"
    write_record(stage, record)
    export(stage, tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "# hub" in card
    assert "this is stage 1 of 2, not the last" in card
    assert "base_model:" not in card


def test_another_dtype_is_written_and_compared_in_it(run, tmp_path):
    assert export(run / "stages/2", tmp_path / "hub", dtype="bfloat16")["dtype"] == "bfloat16"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "hub").dtype == torch.bfloat16


def test_an_export_is_replaced_and_nothing_else_is(run, tmp_path):
    export(run, tmp_path / "hub")
    export(run, tmp_path / "hub")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(ArtefactError, match="mine holds files that are not kovocab's"):
        export(run, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub", "mine"]


def test_what_is_no_stage_is_refused(run, tmp_path):
    with pytest.raises(ArtefactError, match="is no run with a finished stage"):
        export(tmp_path, tmp_path / "hub")
    with pytest.raises(ArtefactError, match="made by `kovocab expand`"):
        export(run.parent / "expanded", tmp_path / "hub")
    with pytest.raises(ArtefactError, match="is what export reads"):
        export(run / "stages/1", run / "stages/1")
    shutil.copytree(run / "stages/1", tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ArtefactError, match=r"broken/model.safetensors is not what `kovocab fit` wrote there"):
        export(tmp_path / "broken", tmp_path / "hub")
    record = read_record(tmp_path / "broken")
    write_record(tmp_path / "broken", {key: value for key, value in record.items() if key != "files"})
    with pytest.raises(ModelError, match="broken"):
        export(tmp_path / "broken", tmp_path / "hub")
    shutil.copyfile(run / "stages/1/model.safetensors", weights)
    (tmp_path / "broken" / "tokenizer_config.json").write_text("{]")
    with pytest.raises(TokenizerError, match="broken cannot be opened"):
        export(tmp_path / "broken", tmp_path / "hub")
    assert not (tmp_path / "hub").exists()


def test_a_run_that_is_not_finished_is_exported_where_that_is_said(run, tmp_path, monkeypatch, capsys):
    cut = tmp_path / "run"
    shutil.copytree(run / "stages/1", cut / "stages/1")
    (cut / "stages/.2").mkdir()
    monkeypatch.chdir(tmp_path)
    for line in ("export --stage run --out hub", "export --run run --out hub"):
        assert main(line.split()) == 1
        said = capsys.readouterr().err
        assert said == (
            "kovocab export: run is not finished: of 2 stages, 2 is not there (these are: 1); `kovocab fit` goes on, "
            "and --run run --stage 1 exports that one\n"
        )
        assert not Path("hub").exists()
    assert main(["export", "--run", "run", "--stage", "2", "--out", "hub"]) == 1
    assert "stage 2 of run is not finished; these are: 1" in capsys.readouterr().err
    assert main(["export", "--run", "run", "--stage", "run/stages/1", "--out", "hub"]) == 2
    assert "wanted the number of a stage of that run" in capsys.readouterr().err
    assert main(["export", "--run", "run", "--stage", "1", "--out", "hub"]) == 0
    assert main(["export", "--stage", "run/stages/1", "--out", "hub"]) == 0  # the same
    assert read_record("hub", "export")["model"]["stage"] == 1
    shutil.move(cut / "stages/1", "aside")
    shutil.copytree(run / "stages/2", cut / "stages/2")
    assert main(["export", "--run", "run", "--out", "hub"]) == 1
    assert "of 2 stages, 1 is not there (these are: 2)" in capsys.readouterr().err
    assert main(["export", "--run", str(run), "--out", "hub", "--overwrite", "true"]) == 0
    assert read_record("hub", "export")["model"]["stage"] == 2


def test_weights_that_came_out_otherwise_leave_nothing(run, tmp_path, monkeypatch):
    from transformers import PreTrainedModel

    save = PreTrainedModel.save_pretrained

    def spoil(self, folder, **settings):
        with torch.no_grad():
            self.get_output_embeddings().weight[5] += 1
        save(self, folder, **settings)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", spoil)
    with pytest.raises(ModelError, match="other logits"):
        export(run, tmp_path / "hub")
    assert list(tmp_path.iterdir()) == []
