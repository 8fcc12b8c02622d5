"""The logs: learning rate, gradient norm and tokens a second, by stage, in CSV and TensorBoard."""

import os
import re
import subprocess
import sys

import polars as pl
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from kovocab.cli.main import main
from kovocab.fitting.callbacks import PlainLines
from kovocab.fitting.meters import Meters, gradient_norm, loggers
from support.ranks import on_two
from support.runs import make_place


class Slope(LightningModule):
    """The gradient of w · x is x: its norm is known."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(2))

    def training_step(self, batch, batch_idx):
        return (self.w * batch).sum()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        halves = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": halves, "interval": "step"}}


def metrics(tmp_path, steps, every, accumulate, *callbacks):
    torch.set_num_threads(1)
    data = DataLoader([torch.tensor([3.0, 4.0]) * (i + 1) for i in range(steps * accumulate)])
    logger = CSVLogger(tmp_path, name="logs", version="stage-1")
    Trainer(
        accelerator="cpu", logger=logger, callbacks=[Meters(100), *callbacks], max_steps=steps, log_every_n_steps=every,
        accumulate_grad_batches=accumulate, gradient_clip_val=1.0, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    ).fit(Slope(), data)  # fmt: skip
    return pl.read_csv(tmp_path / "logs/stage-1/metrics.csv")


@pytest.mark.parametrize(("every", "steps"), [(1, [0, 1, 2, 3]), (2, [1, 3])])
def test_they_are_written_at_the_steps_that_are_logged(tmp_path, every, steps):
    written = metrics(tmp_path, 4, every, 1)
    assert written["step"].to_list() == steps
    assert written["lr"].to_list() == [0.5**step for step in steps]
    # before clipping: |(3, 4)| times the number of the batch
    assert written["grad_norm"].to_list() == [5.0 * (step + 1) for step in steps]
    assert (written["tokens_per_second"] > 0).all()


def test_the_norm_is_that_of_the_step_and_not_of_a_batch(tmp_path):
    assert metrics(tmp_path, 2, 1, 2)["grad_norm"].to_list() == [5.0 * 1.5, 5.0 * 3.5]


def test_what_is_shown_is_the_rate_of_the_step_as_it_is_logged(tmp_path, capsys):
    """The schedule has set the next step's by then."""
    written = metrics(tmp_path, 4, 1, 2, PlainLines("a", 100, seconds=0.0))
    shown = re.findall(r"a  step (\d)/4  .*lr (\S+) ", capsys.readouterr().out)
    assert shown == [("1", "1.00e+00"), ("2", "5.00e-01"), ("3", "2.50e-01"), ("4", "1.25e-01")]
    assert written["lr"].to_list() == [float(rate) for _, rate in shown]


@pytest.mark.parametrize(("given", "steps"), [(None, range(1, 20, 2)), (8, [7, 15]), (50, [19])])
def test_a_stage_has_ten_lines_where_nobody_said(place, given, steps):
    every = [] if given is None else ["--trainer.log_every_n_steps", str(given)]
    (place / "short.yaml").write_text("schedule: [{input_rows: new}]\ndefaults: {lr: 1e-3, steps: 20}\n")
    assert main(["fit", "--config", "fit.yaml", "short.yaml", "--run", "mine", *every]) == 0
    written = pl.read_csv(place / "mine/logs/stage-1/metrics.csv").drop_nulls("lr")
    assert written["step"].to_list() == list(steps)


def sharded_norm():
    torch.distributed.init_process_group("gloo")
    module = torch.nn.Linear(2, 3, bias=False)
    torch.nn.init.zeros_(module.weight)
    fully_shard(module)
    module(torch.tensor([[3.0, 4.0]])).sum().backward()
    return float(gradient_norm([module.weight.grad]))


def test_the_norm_is_that_of_all_shards():
    """Two of the three rows are on the first process; each row's gradient is (3, 4)."""
    assert on_two(sharded_norm) == pytest.approx([75**0.5] * 2)


def test_a_stage_that_is_started_again_overwrites_nothing(tmp_path):
    first = loggers(tmp_path, 3)
    assert [type(logger).__name__ for logger in first] == ["CSVLogger", "TensorBoardLogger"]
    for logger in first:
        logger.log_metrics({"lr": 1.0}, 0)
        logger.save()
    assert [logger.version for logger in loggers(tmp_path, 3)] == ["stage-3-again-1"] * 2
    assert list((tmp_path / "tensorboard/stage-3").glob("events.*"))


def test_the_next_time_is_behind_the_last(tmp_path):
    for name in ("stage-1", "stage-1-again-2", "stage-1-again-11", "stage-1-again-mine", "stage-12-again-40"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    assert {logger.version for logger in loggers(tmp_path, 1)} == {"stage-1-again-12"}
    (tmp_path / "logs/stage-1").rmdir()
    assert {logger.version for logger in loggers(tmp_path, 1)} == {"stage-1-again-12"}


def test_without_tensorboard_there_is_csv(tmp_path, monkeypatch):
    monkeypatch.setattr("kovocab.fitting.meters.find_spec", lambda name: None)
    assert [type(logger).__name__ for logger in loggers(tmp_path, 1)] == ["CSVLogger"]


def test_a_stage_whose_number_begins_as_another_s_is_another(tmp_path):
    (tmp_path / "logs" / "stage-10").mkdir(parents=True)
    assert {logger.version for logger in loggers(tmp_path, 1)} == {"stage-1"}


WANDB = """
trainer:
  logger:
    class_path: lightning.pytorch.loggers.WandbLogger
    init_args: {project: kovocab, save_dir: here, offline: true}
  log_every_n_steps: 1
schedule: [{input_rows: new}, {output_rows: all}]
defaults: {lr: 1e-3, steps: 2}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = make_place(tmp_path / "place", "model: {model: expanded}\ntrainer: {accelerator: cpu, devices: 1}\n")
    monkeypatch.chdir(folder)
    (folder / "here").mkdir()
    (folder / "wandb.yaml").write_text(WANDB)
    return folder


def test_weights_and_biases_has_a_run_a_stage_beside_our_own_logs(place, monkeypatch):
    """Offline, in what it keeps for `wandb sync`: a run a stage, of the run's group, with each of our metrics."""
    pytest.importorskip("wandb", reason="pip install kovocab[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert main(["fit", "--config", "fit.yaml", "wandb.yaml", "--run", "mine"]) == 0
    kept = sorted((place / "here/wandb").glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    assert len(kept) == 2
    for number, path in enumerate(kept, start=1):
        said = path.read_bytes()
        assert b"stage %d" % number in said
        assert b"stage %d" % (3 - number) not in said
        for name in (b"mine", b"kovocab", b"loss/train", b"loss/val", b"lr", b"grad_norm", b"tokens_per_second"):
            assert name in said
        assert b"0" * 40 not in said
        assert (place / f"mine/logs/stage-{number}/metrics.csv").is_file()  # what report reads


@pytest.mark.parametrize(("given", "wanted"), [(False, 0), (None, 1), (True, 1), ("csv", 2), ("two", 3)])
def test_given_loggers_stand_beside_our_own(tmp_path, given, wanted, monkeypatch):
    monkeypatch.setattr("kovocab.fitting.meters.find_spec", lambda name: None)
    other = [CSVLogger(tmp_path / "other"), CSVLogger(tmp_path / "third")]
    made = loggers(tmp_path / "run", 1, {"csv": other[0], "two": other}.get(given, given))
    assert len(made) == wanted
    assert made[1:] == other[: wanted - 1 if wanted else 0]


def test_a_logger_that_is_not_installed_is_a_line(place, monkeypatch, capsys):
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", "")  # as it is where there is none
    assert main(["fit", "--config", "fit.yaml", "wandb.yaml", "--run", "mine"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("kovocab fit: ")
    assert said.count("\n") == 1
    assert not (place / "mine/stages").exists()


def test_who_is_not_signed_in_is_told_in_a_line(place):
    """In a process of its own: W&B keeps to what it was told first in one."""
    pytest.importorskip("wandb", reason="pip install kovocab[wandb]")
    (place / "wandb.yaml").write_text(WANDB.replace(", offline: true", ""))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = kept | {"HOME": str(place), "NETRC": str(place / "netrc"), "WANDB_BASE_URL": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "kovocab", "fit", "--config", "fit.yaml", "wandb.yaml", "--run", "mine"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, check=False)
    said = [line for line in ended.stderr.splitlines() if line.startswith("kovocab fit: ")]
    assert (ended.returncode, len(said)) == (2, 1), ended.stderr
    assert said[0].startswith("kovocab fit: trainer.logger: ")
    assert "Traceback" not in ended.stderr
