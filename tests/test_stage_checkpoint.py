"""The last checkpoint of a stage is there whatever happens between two renames, and a disk that is full is told."""

from types import SimpleNamespace

import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException

from kovocab.callbacks import StageCheckpoint
from kovocab.errors import ArtefactError


class Trainer(SimpleNamespace):
    """What a StageCheckpoint asks of a Trainer; its checkpoints are folders, as those of shards are."""

    is_global_zero, max_steps, global_step = True, 9, 0

    def __init__(self):
        strategy = SimpleNamespace(reduce_boolean_decision=lambda *_, **__: False, barrier=lambda name: None)
        super().__init__(strategy=strategy)

    def save_checkpoint(self, path):
        path.mkdir(exist_ok=True)
        (path / "step").write_text(str(self.global_step))
        torch.save({"callbacks": {"StageCheckpoint": {"settings": {}}}}, path / "meta.pt")

    def step(self, checkpoint):
        self.global_step += 1
        checkpoint.on_train_batch_end(self)


def test_a_kill_between_two_renames_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    checkpoint, trainer = StageCheckpoint(tmp_path, every=1, settings={}), Trainer()
    checkpoint.on_train_start(trainer, None)
    assert checkpoint.found() is None
    trainer.step(checkpoint)
    trainer.step(checkpoint)
    assert (checkpoint.found() / "step").read_text() == "2"
    replace, left = type(tmp_path).replace, []

    def killed(self, target):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return replace(self, target)

    for renames, wanted in ((0, "2"), (1, "2"), (2, "5")):
        left.extend([1] * renames)
        with monkeypatch.context() as patch:
            patch.setattr(type(tmp_path), "replace", killed)
            if renames < 2:
                with pytest.raises(KeyboardInterrupt):
                    trainer.step(checkpoint)
            else:
                trainer.step(checkpoint)
        again = StageCheckpoint(tmp_path, every=1, settings={})
        assert (again.found() / "step").read_text() == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), CheckpointException("disk", {0: (OSError("No space left"), None)})],
)
def test_what_cannot_be_written_is_told_and_leaves_the_checkpoint_before(tmp_path, monkeypatch, error):
    checkpoint, trainer = StageCheckpoint(tmp_path, every=1, settings={}), Trainer()
    checkpoint.on_train_start(trainer, None)
    trainer.step(checkpoint)
    save = trainer.save_checkpoint

    def full(path):
        save(path)
        raise error

    monkeypatch.setattr(trainer, "save_checkpoint", full)
    with pytest.raises(ArtefactError, match=r"last\.ckpt cannot be written: .*No space left"):
        trainer.step(checkpoint)
    assert (checkpoint.found() / "step").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
