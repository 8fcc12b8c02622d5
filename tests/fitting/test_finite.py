"""A loss that is no number stops a stage at that step, and no checkpoint keeps what it came from."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from kovocab.cli.main import main
from kovocab.errors import ModelError
from kovocab.fitting.finite import Finite, NoNumber
from kovocab.record import read_record
from support import runs
from support.ranks import fresh_port, on_two

pytestmark = pytest.mark.usefixtures("in_place")

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1, accumulate_grad_batches: 2}
schedule: [{input_rows: new}]
defaults: {lr: 1e-2, steps: 8}
checkpoint_every: 2
"""
SHARDED = {
    "trainer.strategy": "lightning.pytorch.strategies.ModelParallelStrategy",
    "trainer.strategy.data_parallel_size": "2",
    "trainer.strategy.tensor_parallel_size": "1",
}
NAN = float("nan")


class Spoiler(Callback):
    """Makes no number of a batch's loss on one rank, a weight after a step, or held-out losses from a step on."""

    def __init__(self, batch: int = -1, rank: int = 0, weight: int = -1, held_out: int = 1000) -> None:
        self.batch, self.rank, self.weight, self.held_out = batch, rank, weight, held_out

    def setup(self, trainer, pl_module, stage):
        del stage
        given, log = type(pl_module)._logged_loss, type(pl_module).log

        def spoilt(batch, name, *args):
            loss = given(pl_module, batch, name, *args)
            here = name == "loss/train" and (self.seen, trainer.global_rank) == (self.batch, self.rank)
            return loss * NAN if here else loss

        def logged(name, value, **settings):
            here = name == "loss/val" and trainer.global_step >= self.held_out
            log(pl_module, name, value * NAN if here else value, **settings)

        pl_module._logged_loss, pl_module.log = spoilt, logged

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen = batch_idx

    def on_train_batch_end(self, trainer, pl_module, *args):
        if trainer.global_step == self.weight:
            with torch.no_grad():
                pl_module.loaded.get_input_embeddings().input_new[-1] = NAN


def spoiler(**settings):
    return ["--trainer.callbacks+=test_finite.Spoiler", *(f"--trainer.callbacks.{k}={v}" for k, v in settings.items())]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return runs.make_place(tmp_path_factory.mktemp("place"), CONFIG)


def failed(capsys, run, *args):
    """What a fit says in its one line, and the step of the checkpoint that it leaves."""
    capsys.readouterr()
    assert main(["fit", "--config", "fit.yaml", "--run", str(run), *map(str, args)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    last = run / "stages/.1/last.ckpt"
    assert not (run / "stages/1").exists()
    state = torch.load(last, weights_only=True) if last.exists() else None
    if state is not None:
        assert all(value.isfinite().all() for value in state["state_dict"].values())
        assert f"{last}, is of step {state['global_step']}" in said
    return said, state and state["global_step"]


@pytest.mark.parametrize(
    ("settings", "says", "kept"),
    [
        ({"batch": 0}, "the training loss of step 1 is no number; no checkpoint was written before", None),
        ({"batch": 9}, "the training loss of step 5 is no number", 4),
        ({"batch": 7}, "the training loss of step 4 is no number", 2),  # where a checkpoint was due
        ({"batch": 15}, "the training loss of step 8 is no number", 6),  # the last
        ({"weight": 4}, "after step 4 of 8 a weight is no number", 2),  # of a token that is in no batch
        ({"held_out": 0}, "the held-out loss before the first step is no number; no checkpoint", None),
        ({"held_out": 3}, "the held-out loss after step 8 is no number", 6),
    ],
)
def test_it_stops_at_that_step(capsys, tmp_path, settings, says, kept):
    said, step = failed(capsys, tmp_path, *spoiler(**settings))
    assert f"kovocab fit: stage 1/1: {says}" in said
    assert ("begins the stage anew" if kept is None else f"or remove {tmp_path}/stages/.1") in said
    assert step == kept


def test_a_held_out_pass_within_a_stage(capsys, tmp_path):
    args = [*spoiler(held_out=5), "--trainer.val_check_interval", 6, "--checkpoint_every", 100]
    said, step = failed(capsys, tmp_path, *args)
    assert "the held-out loss after step 6 is no number" in said
    assert step == 3


def test_a_learning_rate_that_is_too_high(capsys, tmp_path):
    said, _ = failed(capsys, tmp_path, "--defaults.lr", "1e30", "--defaults.label_mode", "distill")
    assert "is no number" in said
    assert "Try a lower lr than 1e+30" in said


def test_gradients_that_the_scaler_skips_are_no_fault():
    """fp16's first steps overflow while the scale is sought: losses are numbers, weights stay as they were."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.full((3,), float("inf"))

    class Trainer:
        global_step, max_steps, optimizers = 1, 9, [optimizer]

        class strategy:
            reduce = staticmethod(lambda value, reduce_op: value)
            reduce_boolean_decision = staticmethod(lambda value: value)

    finite = Finite()
    finite.on_train_batch_end(Trainer, None, {"loss": torch.tensor(2.0)})
    finite.check(Trainer)
    Trainer.global_step = 2
    finite.on_train_batch_end(Trainer, None, {"loss": torch.tensor(float("inf"))})
    with pytest.raises(NoNumber, match="training loss of step 2 is no number"):
        finite.check(Trainer)
    optimizer.step()
    with pytest.raises(NoNumber, match="after step 2 of 9 a weight is no number"):
        finite.check(Trainer)


@pytest.mark.gpu
@pytest.mark.parametrize(("batch", "says", "kept"), [(9, "loss of step 5 is", 4), (7, "loss of step 4 is", 2)])
def test_it_stops_at_that_step_under_the_scaler_of_a_gpu(capsys, tmp_path, batch, says, kept):
    gpu = ["--trainer.accelerator", "gpu", "--trainer.precision", "16-mixed"]
    said, step = failed(capsys, tmp_path, *gpu, *spoiler(batch=batch))
    assert says in said
    assert step == kept


def on_both(run, *args):
    fresh_port()
    with pytest.raises(ModelError) as caught:
        runs.fit(run, "--trainer.devices", "2", *args)
    return str(caught.value)


@pytest.mark.parametrize("strategy", ["ddp", "sharded"])
def test_all_ranks_end_at_the_same_step(tmp_path, strategy):
    sharded = [f"--{key}={value}" for key, value in SHARDED.items()]
    args = ["--trainer.strategy", "ddp"] if strategy == "ddp" else sharded
    for said in on_two(on_both, tmp_path, *args, *spoiler(batch=9, rank=1)):
        assert "the training loss of step 5 is no number" in said
        assert "is of step 4" in said
    assert Path(tmp_path, "stages/.1/last.ckpt").exists()


def test_a_stage_without_fault_ends_as_before(tmp_path):
    assert main(["fit", "--config", "fit.yaml", "--run", str(tmp_path), *spoiler()]) == 0
    assert read_record(tmp_path / "stages/1")["loss"]["val"] is not None
    assert [path.name for path in (tmp_path / "stages").iterdir()] == ["1"]
