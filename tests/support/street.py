"""The whole street on a tiny example, walked through the front door: an artefact of every verb.

Where torch is not installed it ends with the tokenizer.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from kovocab.cli.main import TRAINING, main
from support.base import save_tokenizer

TRAINS = find_spec("torch") is not None
"""Whether `kovocab[train]` is installed."""

FIT = """
model: {{model: {street}/expanded}}
data:
  sources: [{{name: ko, corpus: {street}/ko.txt}}]
  length: 32
  batch_size: 4
  validation_share: 0.05
  tokens_dir: {street}/tokens
trainer: {{accelerator: cpu, devices: 1}}
schedule: kosolar
defaults: {{lr: 1e-3, steps: 2}}
run: {street}/run
predictions: {street}/predictions.parquet
"""


def skip_training(verb: str) -> None:
    """Skip the test of a verb that trains where kovocab[train] is not installed."""
    if verb in {*TRAINING, "expand", "export", "pack", "transfer"} and not TRAINS:
        pytest.skip("pip install kovocab[train]")


def walk(street: Path) -> None:
    """Leave an artefact of every verb in `street`.

    ko.txt, en.txt, base, instruct (its sibling), words, english (words), tokenizer, expanded, fit.yaml, run and export.
    """
    (street / "base").mkdir(parents=True)
    rows = save_tokenizer(street / "base")
    (street / "fit.yaml").write_text(FIT.format(street=street))
    if TRAINS:
        import torch

        from support.models import tiny

        torch.set_num_threads(1)
        tiny(rows=rows).save_pretrained(street / "base")
        shutil.copytree(street / "base", street / "instruct")
    for verb, settings in STREET if TRAINS else STREET[:5]:
        assert main([verb, *(setting.format(street=street) for setting in settings.split())]) == 0


REFINE = "--min_count 20 --min_syllable_count 20 --intermediate_vocab_size 800"
STREET = [
    ("sample", "--out {street}/en.txt --megabytes 0.05 --language en"),
    ("count", "--corpus {street}/en.txt --tokenizer {street}/base --out {street}/english.parquet"),
    ("sample", "--out {street}/ko.txt --megabytes 0.2 --language ko"),
    ("count", "--corpus {street}/ko.txt --tokenizer {street}/base --out {street}/words.parquet"),
    ("refine", "--words {street}/words.parquet --base {street}/base --out {street}/tokenizer " + REFINE),
    ("expand", "--model {street}/base --tokenizer {street}/tokenizer --out {street}/expanded"),
    ("fit", "--config {street}/fit.yaml"),
    ("export", "--stage {street}/run --out {street}/export"),
]
