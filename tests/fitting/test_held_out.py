"""A pass over what is held out, where no terminal is: quiet while it is short; sources that are looked at before it."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kovocab.cli.main import main
from kovocab.errors import CorpusError
from kovocab.fitting.callbacks import HeldOutLines
from support.base import corpus, texts
from support.runs import fit, make_place

pytestmark = pytest.mark.usefixtures("in_place")

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
schedule: [{input_rows: new}]
defaults: {lr: 1e-2, steps: 2}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("held_out"), CONFIG)


def lines(capsys):
    return re.findall(r"^(.*)  held out: batch (\d+) of (\d+)$", capsys.readouterr().out, flags=re.MULTILINE)


def test_a_long_pass_says_where_it_is(capsys, monkeypatch):
    torch.set_num_threads(1)
    assert fit("short") == 0
    assert main(["validate", "--config", "fit.yaml"]) == 0
    assert not lines(capsys)
    monkeypatch.setattr(HeldOutLines.__init__, "__defaults__", (0.0,))
    assert fit("long") == 0
    said = lines(capsys)
    total = int(said[0][2])
    counted = [("stage 1/1", str(number), str(total)) for number in range(1, total + 1)]
    assert total > 1
    assert said == 2 * counted  # before the stage and after it
    for verb in ("validate", "test", "predict"):
        assert main([verb, "--config", "fit.yaml"]) == 0
        assert lines(capsys) == [(verb, number, all_) for _, number, all_ in counted]


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_a_loss_that_is_no_number_is_an_error(verb, capsys):
    shutil.copytree("expanded", "broken", dirs_exist_ok=True)
    weights = load_file("broken/model.safetensors")
    weights["lm_head.weight"][5] = torch.nan
    save_file(weights, "broken/model.safetensors", {"format": "pt"})
    capsys.readouterr()
    out = ["--predictions", "of_broken.parquet"] if verb == "predict" else []
    assert main([verb, "--config", "fit.yaml", "--model.model", "broken", *out]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"kovocab {verb}: ")
    assert "broken" in said
    assert "is no number" in said


def test_a_column_that_is_not_there_is_said_before_the_run_begins():
    other = corpus(Path(), "other", texts(100))
    other.write_text(other.read_text().replace('"text"', '"body"'))
    sources = "[{name: new, corpus: ko.jsonl}, {name: more, corpus: ko.jsonl}, {name: other, corpus: other.jsonl}]"
    settings = ["--data.sources", sources, "--data.tokens_dir", "fresh"]
    with pytest.raises(CorpusError, match=r"other\.jsonl.*text"):
        fit("refused", *settings)
    assert not Path("refused").exists()
    assert not Path("fresh").exists()
    other.write_text(other.read_text().replace('"body"', '"text"'))
    assert fit("refused", *settings) == 0
