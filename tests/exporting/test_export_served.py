"""What export is told for those who serve: how many rows, and which class; each is said in output, record and card."""

import json
import shutil
from contextlib import chdir

import pytest
import torch
from transformers import AutoModelForCausalLM

from kovocab.cli.main import main
from kovocab.expanding.config_files import finish
from kovocab.expanding.row_counts import set_rows
from kovocab.exporting.export import export
from kovocab.record import read_record, write_record
from support.base import BASE_TOKENS, NEW_TOKENS
from support.models import tiny
from support.runs import fit, make_place

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
defaults: {lr: 1e-2, steps: 2}
schedule: [{input_rows: new, output_rows: all}]
"""
TOKENS = BASE_TOKENS + NEW_TOKENS
SAID = f"Ids {TOKENS} to 383 have a row and no token (384 rows, {TOKENS} tokens)."


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose model has rows without a token, as `expand --pad_to_multiple_of 128` leaves them."""
    place = make_place(tmp_path_factory.mktemp("padded"), CONFIG)
    model = AutoModelForCausalLM.from_pretrained(place / "expanded")
    set_rows(model, 384, TOKENS, BASE_TOKENS)
    model.save_pretrained(place / "expanded")
    write_record(place / "expanded", read_record(place / "expanded", "expand") | {"vocab_size": 384})
    with chdir(place):
        fit("run")
    return place / "run"


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_rows_without_a_token_go(run, tmp_path, capsys):
    assert main(["export", "--run", str(run), "--out", str(tmp_path / "hub")]) == 0
    assert "no token" not in capsys.readouterr().out + (tmp_path / "hub/README.md").read_text()
    record = read_record(tmp_path / "hub", "export")
    assert (record["vocab_size"], record["tokens"], record["notes"]) == (TOKENS, TOKENS, [])
    assert json.loads((tmp_path / "hub/config.json").read_text())["vocab_size"] == TOKENS
    stage, cut = weights(run / "stages/1"), weights(tmp_path / "hub")
    for name, matrix in stage.items():
        there = matrix[:TOKENS] if matrix.shape[0] == 384 else matrix
        assert torch.equal(cut[name], there)


def test_rows_that_are_asked_for_are_said(run, tmp_path, capsys):
    arguments = ["export", "--run", str(run), "--out", str(tmp_path / "hub"), "--pad_to_multiple_of"]
    assert main([*arguments, "128"]) == 0
    assert f"\n{SAID} " in capsys.readouterr().out
    assert f"\n{SAID} " in (tmp_path / "hub/README.md").read_text()
    assert read_record(tmp_path / "hub")["vocab_size"] == 384
    stage, padded = weights(run / "stages/1"), weights(tmp_path / "hub")
    assert all(torch.equal(padded[name], matrix) for name, matrix in stage.items())
    assert main([*arguments, "0"]) == 2
    assert "pad_to_multiple_of is 0" in capsys.readouterr().err


def test_the_class_is_a_choice_that_is_said(run, tmp_path, capsys):
    for name in ("PreTrainedTokenizerFast", "LlamaTokenizer"):
        arguments = ["export", "--run", str(run), "--out", str(tmp_path / name), "--tokenizer_class", name]
        assert main(arguments) == 0
        config = json.loads((tmp_path / name / "tokenizer_config.json").read_text())
        assert config["tokenizer_class"] == name
        for said in (capsys.readouterr().out, (tmp_path / name / "README.md").read_text()):
            assert ("names the class LlamaTokenizer, which onnxruntime-extensions wants" in said) == (name[0] == "L")
    assert main([*arguments[:-1], "GPT2Tokenizer"]) == 2
    assert "tokenizer_class" in capsys.readouterr().err


def test_a_class_that_reads_the_tokenizer_otherwise_is_refused_first(run, tmp_path, capsys):
    """As of Gemma, which puts no space before a text."""
    stage = tmp_path / "stage"
    shutil.copytree(run / "stages/1", stage)
    tokenizer = json.loads((stage / "tokenizer.json").read_text())
    tokenizer["normalizer"] = tokenizer["normalizer"]["normalizers"][1]
    tokenizer["decoder"]["decoders"].pop()
    (stage / "tokenizer.json").write_text(json.dumps(tokenizer))
    record = read_record(stage, "fit")
    record.pop("files")
    record["base"]["tokenizer"].pop("target_tokenizer", None)
    write_record(stage, record)
    arguments = ["export", "--stage", str(stage), "--out", str(tmp_path / "hub"), "--tokenizer_class"]
    assert main([*arguments, "LlamaTokenizer"]) == 2
    assert capsys.readouterr().err == (
        "kovocab export: tokenizer_class is LlamaTokenizer, and under that transformers gives other ids than the "
        f"tokenizer.json of {stage}, which is not as a Llama's; wanted PreTrainedTokenizerFast\n"
    )
    assert not (tmp_path / "hub").exists()
    assert main([*arguments, "PreTrainedTokenizerFast"]) == 0


def test_a_row_count_with_a_meaning_is_said(run, tmp_path, monkeypatch):
    monkeypatch.setattr("kovocab.expanding.row_counts.MEANINGS", {TOKENS: "does something else", 384: "does more"})
    said = f"{TOKENS} rows have a meaning of their own to llama.cpp: its converter does something else"
    assert export(run, tmp_path / "hub")["notes"][0].startswith(said)
    assert said in (tmp_path / "hub/README.md").read_text()
    assert export(run, tmp_path / "other", pad_to_multiple_of=128)["vocab_size"] == 512


def test_a_gpt2_config_has_what_older_readers_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 64}))
    finish(tmp_path, None)
    assert json.loads((tmp_path / "config.json").read_text())["n_ctx"] == 64
    tiny().save_pretrained(tmp_path)
    finish(tmp_path, None)
    assert "n_ctx" not in json.loads((tmp_path / "config.json").read_text())
