"""How often a run trained on each new token: held to what the loader serves, with a bias, with contexts."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kovocab.evaluating.places import note_places, read_places
from kovocab.favouring.bias import SEEN
from kovocab.measuring.trained import times_trained
from kovocab.record import read_record, write_record
from support.base import BASE_TOKENS, NEW_TOKENS
from support.runs import fit, make_place

pytestmark = pytest.mark.usefixtures("in_place")
SIZE = BASE_TOKENS + NEW_TOKENS
CONFIG = """
model: {model: expanded}
schedule: kosolar
trainer: {accelerator: cpu, devices: 1, limit_val_batches: 0}
defaults: {lr: 1e-2, steps: 4}
evaluate_stages: false
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("place"), CONFIG)


def served(run, epochs):
    """Let the stage have taken so many epochs; give the counts of new tokens in the training part."""
    record = read_record(f"{run}/stages/1", "fit")
    record["served"]["sources"]["ko"]["epochs"] = epochs
    write_record(f"{run}/stages/1", record)
    tokens = np.fromfile(next(Path("tokens").glob("ko.*/train.bin")), dtype="<u2")
    return np.bincount(tokens, minlength=SIZE)[BASE_TOKENS:]


def test_of_a_source_that_is_read_evenly_it_is_counts_times_epochs(place):
    fit("even")
    counts = served("even", 2.5)
    assert counts.sum() > 0
    assert times_trained(Path("even"), Path("even/stages/1"), SIZE) == pytest.approx(2.5 * counts)


def test_of_one_with_a_bias_it_is_its_share_of_what_the_bias_reads(place):
    fit("biased", "--data.bias", "{ko: {min_seen: 1}}", "--defaults.steps", "100")
    [folder] = Path("tokens").glob("ko.bias.*")
    record, seen = read_record(folder, "bias"), pl.read_parquet(folder / SEEN)["seen"].to_numpy()
    blocks = read_record("biased/stages/1", "fit")["served"]["sources"]["ko"]["blocks"]
    assert blocks == record["blocks"]
    assert times_trained(Path("biased"), Path("biased/stages/1"), SIZE).tolist() == seen.tolist()


def test_contexts_count_for_stages_that_distill(place):
    args = ("--schedule", "[{input_rows: new, output_rows: none, layers: false}]", "--defaults.label_mode", "distill")
    fit("distilled", *args, "--data.contexts.per_token", "3", "--data.contexts.length", "4")
    [folder] = Path("tokens").glob("contexts.*")
    epochs = read_record("distilled/stages/1", "fit")["served"]["sources"]["ko"]["epochs"]
    contexts = pl.read_parquet(folder / "contexts.parquet")["contexts"].to_numpy()
    assert epochs > 0
    assert times_trained(Path("distilled"), Path("distilled/stages/1"), SIZE) == pytest.approx(contexts * epochs)


def test_where_it_is_not_known_it_is_not_said(place):
    fit("moved")
    stage = Path("moved/stages/1")
    note_places(Path("moved"), Path("expanded"), {"ko": Path("elsewhere")})
    assert times_trained(Path("moved"), stage, SIZE) is None
    Path("moved/places.json").unlink()
    assert times_trained(Path("moved"), stage, SIZE) is None


def test_places_within_a_run_move_with_it(tmp_path):
    run = tmp_path / "run"
    note_places(run, run / "expanded", {"ko": run / "tokens/ko.1", "en": tmp_path / "tokens/en.1"})
    said = json.loads((run / "places.json").read_text())
    assert said == {"model": "expanded", "tokens": {"ko": "tokens/ko.1", "en": str(tmp_path / "tokens/en.1")}}
    run.rename(tmp_path / "other")
    assert read_places(tmp_path / "other")["model"] == str(tmp_path / "other/expanded")
