"""Lightning's own callbacks, loggers and learning rate finder, beside StageFreezing in somebody's module."""

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.tuner import Tuner
from torch import nn
from torch.optim.swa_utils import get_ema_avg_fn, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from kovocab.errors import FreezingError
from kovocab.freezing.callback import StageFreezing

torch.set_num_threads(1)
pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides"),
]

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


class Classifier(LightningModule):
    """Somebody's module: a body, a head, a learning rate and its schedule."""

    def __init__(self, lr=0.01):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16))
        self.head = nn.Linear(16, 3)
        self.register_buffer("scale", torch.rand(16) + 0.5)
        self.lr = lr

    def loss(self, batch):
        x, label = batch
        return nn.functional.cross_entropy(self.head(self.body(x) * self.scale), label)

    def training_step(self, batch):
        loss = self.loss(batch)
        self.log("loss/train", loss)
        return loss

    def validation_step(self, batch):
        self.log("loss/val", self.loss(batch))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.1)
        return [optimizer], [torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=10)]


def loader(count=64):
    generator = torch.Generator().manual_seed(0)
    return DataLoader([(torch.randn(8, generator=generator), i % 3) for i in range(count)], batch_size=4)


def state(module):
    return {name: p.detach().clone() for name, p in module.state_dict().items()}


def fit(callbacks, train=("head.*",), module=None, ckpt_path=None, **settings):
    """One stage; the module, its state before, and the freezing's report, of which no parameter moved."""
    module = module or Classifier()
    before = state(module)
    freezing = StageFreezing(list(train))
    trainer = Trainer(callbacks=[freezing, *callbacks], **{"max_epochs": 2, "logger": False} | QUIET | settings)
    trainer.fit(module, loader(), loader(16), ckpt_path=ckpt_path)
    assert freezing.report["verified_parameters"] == freezing.report["frozen_parameters"] == 4
    assert freezing.report["moved_parameters"] == 0
    return trainer, module, before


def moved(module, before):
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


HEAD = {"head.weight", "head.bias"}


@pytest.mark.parametrize("freezing_first", [True, False])
@pytest.mark.parametrize(
    "average",
    [
        lambda: EMAWeightAveraging(decay=0.9),
        lambda: WeightAveraging(avg_fn=get_ema_avg_fn(0.9)),
        lambda: WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(0.9)),
        WeightAveraging,
    ],
)
def test_averages_of_weights_leave_frozen_ones_alone(average, freezing_first):
    module, freezing = Classifier(), StageFreezing(["head.*"])
    before = state(module)
    callbacks = [freezing, average()] if freezing_first else [average(), freezing]
    trainer = Trainer(callbacks=callbacks, max_epochs=2, logger=False, enable_checkpointing=False, **QUIET)
    trainer.fit(module, loader(), loader(16))
    assert freezing.report["verified_parameters"] == 4
    assert moved(module, before) == HEAD


def test_the_average_of_what_trains_is_lightnings():
    class Weights(EMAWeightAveraging):
        """What an average has to be, from the weights after each step."""

        def __init__(self):
            super().__init__(decay=0.9)
            self.wanted = None

        def on_train_batch_end(self, trainer, pl_module, *rest):
            super().on_train_batch_end(trainer, pl_module, *rest)
            now = pl_module.head.weight.detach().double()
            self.wanted = now if self.wanted is None else 0.9 * self.wanted + 0.1 * now

    weights = Weights()
    _, module, _ = fit([weights], enable_checkpointing=False)
    torch.testing.assert_close(module.head.weight.detach().double(), weights.wanted, rtol=0, atol=1e-6)


def test_an_average_that_rounds_all_the_same_fails_the_run():
    def rounding(averaged, current, number):
        for mean, value in zip(averaged, current, strict=True):
            mean.copy_(mean * 0.9 + value * 0.1)

    with pytest.raises(FreezingError, match=r"moved during the fit: body\."):
        fit([WeightAveraging(multi_avg_fn=rounding)], enable_checkpointing=False)


def test_an_average_resumes_with_its_stage(tmp_path):
    def callbacks():
        return [EMAWeightAveraging(decay=0.9), ModelCheckpoint(tmp_path, save_last=True)]

    _, whole, _ = fit([EMAWeightAveraging(decay=0.9)], max_epochs=4, enable_checkpointing=False)
    fit(callbacks())
    _, resumed, before = fit(callbacks(), ckpt_path=tmp_path / "last.ckpt", max_epochs=4)
    assert moved(resumed, before) == HEAD
    assert not moved(resumed, state(whole))


def test_stochastic_weight_averaging():
    _, module, before = fit(
        [StochasticWeightAveraging(0.01, swa_epoch_start=1)], max_epochs=3, enable_checkpointing=False
    )
    assert moved(module, before) == HEAD


@pytest.mark.parametrize("finder_first", [True, False])
def test_the_learning_rate_finder_as_a_callback(finder_first, tmp_path):
    module, freezing = Classifier(), StageFreezing(["head.*"])
    before = state(module)
    finder = LearningRateFinder(min_lr=1e-5, num_training_steps=16)
    callbacks = [finder, freezing] if finder_first else [freezing, finder]
    trainer = Trainer(
        callbacks=callbacks, max_epochs=1, logger=False, enable_checkpointing=False, default_root_dir=tmp_path, **QUIET
    )
    trainer.fit(module, loader())
    assert module.lr == finder.optimal_lr.suggestion() != 0.01
    assert len(trainer.optimizers[0].state) == 2
    assert freezing.report["moved_parameters"] == 0
    assert moved(module, before) == HEAD


def test_the_learning_rate_finder_before_a_stage(tmp_path):
    module, freezing = Classifier(), StageFreezing(["head.*"])
    before = state(module)
    trainer = Trainer(
        callbacks=[freezing], max_epochs=1, logger=False, enable_checkpointing=False, default_root_dir=tmp_path, **QUIET
    )
    found = Tuner(trainer).lr_find(module, loader(), num_training=16)
    assert found.suggestion() == module.lr
    assert moved(module, before) == set()
    assert "configure_model" not in vars(module)
    trainer.fit(module, loader())
    assert freezing.report["verified_parameters"] == 4
    assert moved(module, before) == HEAD


def test_early_stopping_ends_a_stage_that_is_verified():
    trainer, module, before = fit(
        [EarlyStopping("loss/val", patience=1, min_delta=10.0)], max_epochs=20, enable_checkpointing=False
    )
    assert trainer.current_epoch < 20
    assert moved(module, before) == HEAD


def test_checkpoints_of_the_best_hold_what_was_frozen(tmp_path):
    best = ModelCheckpoint(tmp_path, monitor="loss/val", save_top_k=2)
    _, _, before = fit([best])
    kept = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    assert {name for name in kept if not torch.equal(kept[name], before[name])} == HEAD
    # The next stage starts from it, and the other way round.
    module = Classifier()
    module.load_state_dict(kept)
    after = state(module)
    freezing = StageFreezing(["body.*"])
    Trainer(callbacks=[freezing], max_epochs=1, logger=False, enable_checkpointing=False, **QUIET).fit(module, loader())
    assert moved(module, after) == {name for name in after if name.startswith("body.")}


@pytest.mark.parametrize("logger", [CSVLogger, TensorBoardLogger])
def test_loggers_and_the_learning_rate(logger, tmp_path):
    if logger is TensorBoardLogger:
        pytest.importorskip("tensorboard")
    made = logger(tmp_path, name="", version="logs")
    trainer, module, before = fit(
        [LearningRateMonitor("step")], logger=made, log_every_n_steps=1, enable_checkpointing=False
    )
    assert trainer.global_step == 32
    assert moved(module, before) == HEAD
    assert {"loss/train", "loss/val"} <= trainer.logged_metrics.keys()
    if logger is CSVLogger:
        header = (tmp_path / "logs/metrics.csv").read_text().splitlines()[0]
        assert {"lr-AdamW", "loss/train", "loss/val"} <= set(header.split(","))
    else:
        assert list((tmp_path / "logs").glob("events.*"))


def test_gradients_accumulate_by_a_schedule():
    scheduler = GradientAccumulationScheduler({0: 2, 1: 4})
    trainer, module, before = fit([scheduler], enable_checkpointing=False)
    assert trainer.global_step == 8 + 4
    assert moved(module, before) == HEAD
