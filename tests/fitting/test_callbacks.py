"""Where no terminal is, lines tell how far a held-out pass is."""

from types import SimpleNamespace

import pytest
import torch

from kovocab.fitting import callbacks
from kovocab.fitting.callbacks import HeldOutLines
from kovocab.fitting.fit import main
from support.runs import make_place

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
schedule: [{input_rows: new}]
defaults: {lr: 1e-2, steps: 2}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("place"), CONFIG)


def test_a_line_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 4.0, 11.0, 15.0, 22.0])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock))
    trainer = SimpleNamespace(is_global_zero=True, sanity_checking=False, num_val_batches=[1200])
    lines = HeldOutLines("stage 1/7")
    lines.on_validation_start(trainer, None)
    for index in (10, 1010, 1100, 1199):
        lines.on_validation_batch_end(trainer, None, None, None, index)
    told = capsys.readouterr().out.splitlines()
    assert told == ["stage 1/7  held-out batch 1,011/1,200", "stage 1/7  held-out batch 1,200/1,200"]


@pytest.mark.usefixtures("in_place")
def test_every_verb_tells_of_its_held_out_pass(capsys, monkeypatch, tmp_path):
    torch.set_num_threads(1)
    monkeypatch.setattr(HeldOutLines.__init__, "__defaults__", (0.0,))
    titles = {"fit": "stage 1/1", "validate": "validate", "test": "test", "predict": "predict"}
    more = {"fit": ["--run", str(tmp_path / "run")], "predict": ["--predictions", str(tmp_path / "p.parquet")]}
    for verb, title in titles.items():
        assert main([verb, "--config", "fit.yaml", *more.get(verb, [])]) == 0
        told = [line for line in capsys.readouterr().out.splitlines() if "held-out batch" in line]
        count = int(told[0].rpartition("/")[2])
        passes = 2 if verb == "fit" else 1
        assert told == [f"{title}  held-out batch {i + 1}/{count}" for i in range(count)] * passes
