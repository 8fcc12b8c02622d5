"""Runs of `kovocab fit` in a folder made for them: begun, struck, compared."""

from pathlib import Path

import torch
from lightning.pytorch import Callback

from kovocab.fitting.callbacks import StepSeed
from kovocab.fitting.fit import main
from support.base import BASE_TOKENS, corpus, texts
from support.expanded import save_expanded

DATA = """
data:
  sources: [{name: ko, corpus: ko.jsonl}]
  length: 16
  batch_size: 4
  validation_share: 0.05
"""


TWO_STAGES = """
model: {model: expanded, dtype: float32}
trainer: {accelerator: cpu, devices: 1, accumulate_grad_batches: 2, limit_val_batches: 0}
schedule: [{input_rows: new}, {output_rows: new}]
defaults: {lr: 1e-2, steps: 30}
"""
"""Settings of a short run of two stages, without its data."""


def make_place(folder, config, data=DATA, **settings):
    """What a run needs, in a folder: `expanded`, ko.jsonl and fit.yaml."""
    save_expanded(folder / "expanded", **settings)
    corpus(folder, "ko", texts(300))
    (folder / "fit.yaml").write_text(data + config)
    return folder


def fit(run, *args):
    """`kovocab fit`, whose errors are raised."""
    torch.set_num_threads(1)
    return main(["fit", "--config", "fit.yaml", "--run", str(run), *args])


class Stopper(Callback):
    """Somebody's callback that ends a fit early, as EarlyStopping does; behind the first checkpoint."""

    def on_train_batch_end(self, trainer, *args):
        trainer.should_stop = trainer.global_step == 3


def strike(patch, stage, batch, how):
    """Call `how` before a batch of a stage, once."""
    before, struck = StepSeed.on_train_batch_start, []

    def hook(self, trainer, module, data, index):
        if (self._stage, index) == (stage, batch) and not struck:
            struck.append(1)
            how()
        before(self, trainer, module, data, index)

    patch.setattr(StepSeed, "on_train_batch_start", hook)


def files(folder):
    """What the files in a folder hold, by name."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def assert_equal(run, other, stages):
    """Two runs have the same stages, bit for bit."""
    for number in stages:
        ours, theirs = (files(Path(name, "stages", str(number))) for name in (run, other))
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if ours[name] != theirs[name]] == []


def moved(before, after):
    """The blocks in which two models' weights, by name, differ."""
    found = set()
    for name, value in before.items():
        block = {"model.embed_tokens.weight": "input", "lm_head.weight": "output", "lm_head.bias": "output"}.get(name)
        rows = {"old": slice(BASE_TOKENS), "new": slice(BASE_TOKENS, None)} if block else {"": slice(None)}
        for part, where in rows.items():
            if not torch.equal(value[where], after[name][where]):
                found.add(f"{block}_{part}" if block else "layers")
    return found
