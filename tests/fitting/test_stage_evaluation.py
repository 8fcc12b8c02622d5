"""Bits per byte at a stage's end: logged, on record, the same after a stop and on processes together, or left out."""

import shutil
import signal

import polars as pl
import pytest

from kovocab.evaluating.fertility import spelled, text_reference
from kovocab.evaluating.texts import Budget, held_out
from kovocab.expanding.expand import load_plain
from kovocab.fitting.stage_evaluation import StageEvaluation
from kovocab.measuring.scoring import batches, score
from kovocab.record import read_record
from support.ranks import fresh_port, on_two
from support.runs import assert_equal, fit, make_place, strike

pytestmark = pytest.mark.usefixtures("in_place")

CONFIG = """
model: {model: expanded}
schedule: kosolar
trainer: {accelerator: cpu, devices: 1}
defaults: {lr: 1e-2, steps: 4}
checkpoint_every: 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An expanded model (with dropout), a source, a configuration."""
    return make_place(tmp_path_factory.mktemp("place"), CONFIG, attention_dropout=0.1)


def said(run):
    return read_record(f"{run}/stages/1", "fit").get("evaluation")


def test_it_is_what_scoring_the_stage_gives_and_in_the_logs(here, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    fit("whole", "--evaluate_documents", "7")
    [packed] = place.glob("tokens/ko.*")
    text = held_out(packed, "ko", Budget(7))
    own = [document.ids for document in spelled(text.documents.to_list(), text_reference("whole/stages/1"))]
    scores = score(load_plain("whole/stages/1").eval(), own, [1], context=64, stride=32)
    nats = sum(float(each.nats.sum()) for each in scores)
    found = said("whole")
    assert found["sources"]["ko"]["nats"] == pytest.approx(nats, rel=1e-5)
    assert (found["documents"], found["context"], found["stride"]) == (7, 64, 32)
    assert (found["sources"]["ko"]["documents"], found["sources"]["ko"]["bytes"]) == (7, text.bytes)
    bits = found["sources"]["ko"]["bits_per_byte"]
    logged = pl.read_csv("whole/logs/stage-1/metrics.csv").filter(pl.col("bits_per_byte/ko").is_not_null())
    assert logged.select("step", "bits_per_byte/ko").rows() == [(4, pytest.approx(bits))]
    assert f"stage 1/1: ko: {bits:.4f} bits per byte, {text.bytes:,} bytes" in capsys.readouterr().out


def test_it_changes_nothing_and_can_be_left_out(place):
    fit("with")
    fit("without", "--evaluate_stages", "false")
    assert said("without") is None
    one, other = (read_record(f"{name}/stages/1", "fit") for name in ("with", "without"))
    assert one["files"]["model.safetensors"] == other["files"]["model.safetensors"]
    assert one["loss"] == other["loss"]


@pytest.mark.parametrize("limit", ["1.0", "0"])
def test_a_stage_that_was_stopped_behind_its_last_step_is_measured_when_it_goes_on(place, monkeypatch, limit):
    run, args = f"stopped-{limit}", ("--trainer.limit_val_batches", limit)
    fit(f"unstopped-{limit}", *args)

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StageEvaluation, "on_train_end", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit(run, *args)
    fit(run, *args)
    assert_equal(run, f"unstopped-{limit}", [1])
    assert said(run) is not None


def test_a_stage_that_was_stopped_within_is_measured_once(place, monkeypatch):
    fit("straight")
    with monkeypatch.context() as patch:
        strike(patch, 1, 3, lambda: signal.raise_signal(signal.SIGINT))
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                fit("struck")
        finally:
            signal.signal(signal.SIGINT, before)
    fit("struck")
    assert_equal("struck", "straight", [1])


SHARDED = (
    "{class_path: lightning.pytorch.strategies.ModelParallelStrategy, "
    "init_args: {data_parallel_size: 2, tensor_parallel_size: 1}}"
)


def fit_on_two(run, strategy):
    fresh_port()
    args = ("--trainer.devices", "2", "--data.batch_size", "2", "--trainer.strategy", strategy)
    return [fit(run, *args)]


@pytest.mark.parametrize("strategy", ["ddp", SHARDED], ids=["ddp", "sharded"])
def test_processes_measure_together(place, strategy):
    """Each a share of the batches, of which there is an odd number; what comes out is that of the written stage."""
    on_two(fit_on_two, "together", strategy)
    found = said("together")["sources"]["ko"]
    [packed] = place.glob("tokens/ko.*")
    own = [
        document.ids
        for document in spelled(held_out(packed, "ko", Budget()).documents.to_list(), text_reference("expanded"))
    ]
    assert len(list(batches(own, [1], 64, 32, 32))) % 2
    scores = score(load_plain("together/stages/1").eval(), own, [1], context=64, stride=32)
    assert found["nats"] == pytest.approx(sum(float(each.nats.sum()) for each in scores), rel=1e-5)
    assert found["documents"] == len(own)
    shutil.rmtree("together")
