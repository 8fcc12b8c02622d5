"""StageFreezing in a LightningModule that knows nothing of kovocab: the proof, and that it can fail."""

import itertools
import re

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.utils.data import DataLoader

from kovocab.errors import FreezingError, UsageError
from kovocab.freezing.callback import StageFreezing, freeze
from support.models import QUIET, parameters
from support.ranks import FORKED

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


# --- the example of the README ---


class Classifier(LightningModule):
    """Somebody's module: it knows nothing of stages, and gives its optimizer everything."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16))
        self.head = nn.Linear(16, 3)

    def training_step(self, batch):
        x, label = batch
        return nn.functional.cross_entropy(self.head(self.body(x)), label)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01, weight_decay=0.1)


def two_stages(module, loader, **settings):
    for train in (["head.*"], ["body.*", "!body.0.bias"]):
        callback = StageFreezing(train)
        Trainer(max_epochs=1, callbacks=[callback], **settings).fit(module, loader)
        yield callback.report  # {..., 'verified_parameters': 4, 'moved_parameters': 0}


# ---


@pytest.mark.parametrize("train", ["head.*", [1], None])
def test_what_is_no_list_of_patterns_is_refused(train):
    """A string would be a list of its letters."""
    with pytest.raises(UsageError) as caught:
        StageFreezing(train)
    assert str(caught.value) == f"train is {train!r}; wanted a list of patterns"


SETTINGS = QUIET | {"gradient_clip_val": 1.0, "accumulate_grad_batches": 4}


def loader(count=64, batch_size=4):
    generator = torch.Generator().manual_seed(0)
    rows = [(torch.randn(8, generator=generator), i % 3) for i in range(count)]
    return DataLoader(rows, batch_size=batch_size)


def fit(module, callbacks, ckpt_path=None, **settings):
    options = {"max_epochs": 1, "enable_checkpointing": False} | SETTINGS | settings
    trainer = Trainer(callbacks=callbacks, **options)
    trainer.fit(module, loader(), ckpt_path=ckpt_path)
    return trainer


def test_a_module_that_knows_nothing_of_kovocab_trains_in_two_stages():
    module = Classifier()
    states = [parameters(module)]
    reports = []
    for report in two_stages(module, loader(), enable_checkpointing=False, **SETTINGS):
        reports.append(report)
        states.append(parameters(module))
    moved = [{n for n in a if not torch.equal(a[n], b[n])} for a, b in itertools.pairwise(states)]
    assert moved[0] == {"head.weight", "head.bias"}
    assert moved[1] == {"body.0.weight", "body.2.weight", "body.2.bias"}
    assert reports[0] == {
        "trained_parameters": 2,
        "trained_elements": 51,
        "frozen_parameters": 4,
        "frozen_elements": 416,
        "verified_parameters": 4,
        "moved_parameters": 0,
    }
    assert "configure_model" not in vars(module)


def test_without_the_callback_weight_decay_moves_what_has_no_gradient():
    module = Classifier()
    for p in module.body.parameters():
        p.register_hook(torch.zeros_like)  # freezing by a hook
    before = parameters(module)
    fit(module, [])
    assert not torch.equal(module.body[0].weight, before["body.0.weight"])


class Nudge(Callback):
    """Sabotage: moves one element of a parameter by the least that fp32 can say."""

    def __init__(self, name, hook):
        self.name = name
        setattr(self, hook, self.nudge)

    def nudge(self, trainer, pl_module, *rest):
        element = pl_module.get_parameter(self.name).data.view(-1)[-1:]
        element.copy_(torch.nextafter(element, torch.tensor([torch.inf])))


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_end"])
def test_a_frozen_parameter_that_moves_fails_the_run(hook):
    with pytest.raises(FreezingError, match=re.escape("moved during the fit: body.2.bias")):
        fit(Classifier(), [StageFreezing(["head.*"]), Nudge("body.2.bias", hook)], limit_train_batches=1)
    callback = StageFreezing(["head.*"], verify=False)
    fit(Classifier(), [callback, Nudge("body.2.bias", hook)], limit_train_batches=1)
    assert callback.report["verified_parameters"] == 0


@pytest.mark.parametrize("settings", [{"max_epochs": 0}, {"limit_train_batches": 0}, {"max_time": {"seconds": 0}}])
def test_a_fit_that_never_started_proves_nothing(settings):
    callback = StageFreezing(["head.*"])
    with pytest.raises(FreezingError, match="training never started, so nothing was verified"):
        fit(Classifier(), [callback], **settings)
    assert callback.report["frozen_parameters"] == 4
    assert callback.report["verified_parameters"] == 0
    for silent in (StageFreezing(["head.*"], verify=False), StageFreezing(["*"])):
        fit(Classifier(), [silent], **settings)


def test_other_uses_of_a_trainer_go_on():
    class Validated(Classifier):
        lr = 0.01

        def validation_step(self, batch):
            self.training_step(batch)

    settings = SETTINGS | {"accumulate_grad_batches": 1, "enable_checkpointing": False}
    callback = StageFreezing(["head.*"])
    Trainer(callbacks=[callback], fast_dev_run=True, **settings).fit(Validated(), loader(), loader())
    assert callback.report["verified_parameters"] == 4
    Trainer(callbacks=[StageFreezing(["head.*"])], **settings).validate(Validated(), loader(), verbose=False)


def test_optimizer_state_only_for_what_trains_even_if_a_warm_optimizer_is_offered():
    module = Classifier()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.1)
    module.configure_optimizers = lambda: optimizer
    fit(module, [])
    assert len(optimizer.state) == 6
    before = parameters(module)
    fit(module, [StageFreezing(["head.*"])])
    assert {id(p) for p in optimizer.state} == {id(module.head.weight), id(module.head.bias)}
    assert torch.equal(module.body[0].weight, before["body.0.weight"])
    with pytest.raises(FreezingError, match=r"body\.0\.weight, .* in no optimizer"):
        fit(module, [StageFreezing(["body.*"])])
    assert "configure_model" not in vars(module)  # also where the fit fails


def test_optimizer_state_of_a_frozen_parameter_fails_the_run():
    class Smuggle(Callback):
        def on_train_batch_end(self, trainer, pl_module, *rest):
            trainer.optimizers[0].state[pl_module.body[0].bias] = {"step": torch.tensor(1.0)}

    with pytest.raises(FreezingError, match=r"an optimizer holds state for it: body\.0\.bias"):
        fit(Classifier(), [StageFreezing(["head.*"]), Smuggle()])


def test_a_stale_gradient_does_not_move_what_is_frozen():
    module = Classifier()
    module.head(module.body(torch.ones(1, 8))).sum().backward()
    before = parameters(module)
    fit(module, [StageFreezing(["head.*"])])
    assert torch.equal(module.body[0].weight, before["body.0.weight"])
    assert module.body[0].weight.grad is None


class Late(Classifier):
    """Builds its layers in configure_model, as large models do."""

    def __init__(self):
        LightningModule.__init__(self)
        self.body = None

    def configure_model(self):
        if self.body is None:
            built = Classifier()
            self.body, self.head = built.body, built.head


def test_layers_built_in_configure_model_are_frozen_too():
    module = Late()
    callback = StageFreezing(["head.*"])
    fit(module, [callback])
    assert callback.report["verified_parameters"] == 4
    fit(module, [callback])
    assert callback.report["moved_parameters"] == 0


def test_a_checkpoint_goes_on_with_its_own_stage_only(tmp_path):
    def saving(train):
        return [StageFreezing(train), ModelCheckpoint(tmp_path, save_last=True)]

    module = Classifier()
    fit(module, saving(["head.*"]), enable_checkpointing=True)
    last = tmp_path / "last.ckpt"
    with pytest.raises(FreezingError, match=re.escape("trains ['head.*']; this one trains ['body.*']")):
        fit(Classifier(), saving(["body.*"]), last, enable_checkpointing=True, max_epochs=2)
    resumed = Classifier()
    callbacks = saving(["head.*"])
    fit(resumed, callbacks, last, enable_checkpointing=True, max_epochs=2)
    assert torch.equal(resumed.body[0].weight, module.body[0].weight)
    assert callbacks[0].report["moved_parameters"] == 0

    # What was frozen is compared with the start of the stage, not of this process.
    broken = torch.load(last, weights_only=True)
    broken["state_dict"]["body.0.bias"][0] += 1
    torch.save(broken, last)
    with pytest.raises(FreezingError, match=r"body\.0\.bias"):
        fit(Classifier(), saving(["head.*"]), last, enable_checkpointing=True, max_epochs=3)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (["haed.*"], "the pattern 'haed.*' matches no parameter; near it: head.bias"),
        (["head.*", "!bdy.*"], "the pattern '!bdy.*' matches no parameter"),
        ([], "leave nothing to train"),
        (["head.*", "!head.*"], "leave nothing to train"),
    ],
)
def test_patterns_that_cannot_be_meant(train, message):
    with pytest.raises(FreezingError, match=re.escape(message)):
        fit(Classifier(), [StageFreezing(train)])


def test_a_tied_parameter_cannot_train_and_be_frozen():
    module = Classifier()
    module.copy = nn.Linear(16, 3)
    module.copy.weight = module.head.weight
    with pytest.raises(FreezingError, match=r"head\.weight trains and copy\.weight is frozen, but they are one"):
        freeze(module, ["head.*"])
    freeze(module, ["head.weight", "copy.weight"])
    assert [n for n, p in module.named_parameters() if p.requires_grad] == ["head.weight"]


class OnRankOne(Nudge):
    def nudge(self, trainer, pl_module, *rest):
        if trainer.global_rank == 1:
            super().nudge(trainer, pl_module)


class Report(Callback):
    """Writes what a process of a DDP run saw, for the test to read."""

    def __init__(self, folder, freezing, before):
        self.folder, self.freezing, self.before = folder, freezing, before

    def on_fit_end(self, trainer, pl_module):
        after = parameters(pl_module)
        seen = {
            "report": self.freezing.report,
            "moved": sorted(n for n in after if not torch.equal(after[n], self.before[n])),
            "head": after["head.weight"],
            "reduced": sum(p.grad is not None for p in pl_module.parameters()),
        }
        torch.save(seen, self.folder / f"{trainer.global_rank}.pt")


def ddp(module, callbacks):
    """As `ddp_spawn`, but from the process that has imported all; such ones end at once, with no end of Python."""
    strategy = DDPStrategy(start_method=FORKED.get_start_method())
    fit(module, callbacks, strategy=strategy, devices=2)


def test_two_processes(tmp_path):
    module, freezing = Classifier(), StageFreezing(["head.*"])
    ddp(module, [freezing, Report(tmp_path, freezing, parameters(module))])
    seen = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for rank in seen:
        assert rank["moved"] == ["head.bias", "head.weight"]
        assert rank["report"]["verified_parameters"] == 4
        assert rank["report"]["moved_parameters"] == 0
    assert torch.equal(seen[0]["head"], seen[1]["head"])


def test_a_parameter_that_moves_on_one_of_two_processes_fails_the_run():
    with pytest.raises(Exception, match=r"moved on another rank|moved during the fit: body\.2\.bias"):
        ddp(Classifier(), [StageFreezing(["head.*"]), OnRankOne("body.2.bias", "on_train_batch_end")])


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_a_precision_that_rounds_what_is_frozen_is_refused(precision):
    with pytest.raises(
        FreezingError, match=rf"precision {precision} makes torch\.\w+ of body.0.weight, which is frozen"
    ):
        fit(Classifier(), [StageFreezing(["head.*"])], precision=precision)


def test_weights_that_are_of_the_precision_are_trained():
    module = Classifier().bfloat16()
    before = parameters(module)
    callback = StageFreezing(["head.*"])
    fit(module, [callback], precision="bf16-true")
    assert callback.report["verified_parameters"] == 4
    assert torch.equal(module.body[0].weight, before["body.0.weight"])
    assert not torch.equal(module.head.weight, before["head.weight"])


def test_an_optimizer_that_keeps_what_is_frozen_is_refused_before_it_trains():
    """LBFGS steps by a list of its own, of which its groups are a copy."""

    class Lbfgs(Classifier):
        all_of_them = True

        def configure_optimizers(self):
            return torch.optim.LBFGS([p for p in self.parameters() if self.all_of_them or p.requires_grad])

        def on_train_start(self):
            assert not self.all_of_them

    with pytest.raises(FreezingError, match="LBFGS was given frozen parameters and keeps them"):
        fit(Lbfgs(), [StageFreezing(["head.*"])], gradient_clip_val=None)
    module = Lbfgs()
    module.all_of_them = False
    fit(module, [StageFreezing(["head.*"])], gradient_clip_val=None, accumulate_grad_batches=1)


def test_whole_numbers_cannot_train():
    module = Classifier()
    module.table = nn.Parameter(torch.zeros(3, dtype=torch.int8), requires_grad=False)
    with pytest.raises(FreezingError, match=re.escape("table is torch.int8, which has no gradient; wanted patterns")):
        freeze(module, ["*"])
    freeze(module, ["*", "!table"])
    assert module.head.weight.requires_grad
    assert not module.table.requires_grad
