"""The last checkpoint of a stage is there whatever happens between two renames, and a disk that is full is told."""

from types import SimpleNamespace

import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_saver import save

from kovocab.errors import ArtefactError
from kovocab.run.stage_checkpoint import StageCheckpoint

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


class Trainer(SimpleNamespace):
    """What a StageCheckpoint asks of a Trainer; its checkpoints are folders, as those of shards are."""

    is_global_zero, max_steps, global_step, val_check_batch = True, 9, 0, float("inf")
    sanity_checking, enable_validation = False, True

    def __init__(self):
        strategy = SimpleNamespace(reduce_boolean_decision=lambda *_, **__: False, barrier=lambda name: None)
        super().__init__(strategy=strategy)

    def save_checkpoint(self, path):
        save({"weight": torch.arange(4000.0), "bias": torch.ones(30)}, checkpoint_id=path, no_dist=True)
        (path / "step").write_text(str(self.global_step))
        torch.save({"callbacks": {"StageCheckpoint": {"settings": {}}}}, path / "meta.pt")

    def step(self, checkpoint):
        self.global_step += 1
        checkpoint.on_train_batch_end(self, None, None, None, self.global_step - 1)


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
    [
        OSError(28, "No space left on device"),
        CheckpointException("disk", {0: (OSError("No space left"), None)}),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"),
    ],
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
    with pytest.raises(ArtefactError, match=r"last\.ckpt cannot be written: .*(No space left|is the disk full)"):
        trainer.step(checkpoint)
    assert (checkpoint.found() / "step").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def flipped(data):
    middle = data.find(b"settings") + 1 or len(data) // 2  # an archive has padding, too
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata", "metadata.crc32", "meta.pt"])
@pytest.mark.parametrize("damage", [flipped, lambda data: data[: len(data) // 3], lambda data: b"", None])
def test_a_damaged_shard_is_named(tmp_path, name, damage):
    """Torch itself reads over flipped bits, and has an error of its own for each of the others."""
    checkpoint, trainer = StageCheckpoint(tmp_path, every=1, settings={}), Trainer()
    checkpoint.on_train_start(trainer, None)
    trainer.step(checkpoint)
    file = checkpoint.found() / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ArtefactError, match=r"last\.ckpt cannot be read: .*; remove it to train the stage"):
        checkpoint.found()


def test_a_checkpoint_of_shards_replaces_one_file_and_the_other_way_round(tmp_path, monkeypatch):
    checkpoint, trainer = StageCheckpoint(tmp_path, every=1, settings={}), Trainer()
    checkpoint.on_train_start(trainer, None)
    in_shards = trainer.save_checkpoint

    def whole(path):
        torch.save({"callbacks": {"StageCheckpoint": {"settings": {}}}}, path)

    for kind in (in_shards, whole, in_shards):
        monkeypatch.setattr(trainer, "save_checkpoint", kind)
        trainer.step(checkpoint)
        assert checkpoint.found().is_dir() == (kind is in_shards)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("folder", [True, False])
def test_half_a_checkpoint_is_removed_before_the_stage_goes_on(tmp_path, folder):
    """A killed run with the other strategy may have left one of the other kind, which nothing can be written to."""
    left = tmp_path / "last.part"
    if folder:
        left.mkdir()
        (left / "__0_0.distcp").write_bytes(b"half")
    else:
        left.write_bytes(b"half")
    assert StageCheckpoint(tmp_path, every=1, settings={}).found() is None
    assert not left.exists()


def test_the_checkpoint_before_is_kept_until_a_held_out_pass_went_well(tmp_path):
    checkpoint, trainer = StageCheckpoint(tmp_path, every=100, settings={}), Trainer()
    trainer.val_check_batch = 2
    trainer.save_checkpoint = lambda path: torch.save({"global_step": trainer.global_step}, path)
    checkpoint.on_train_start(trainer, None)
    for _ in range(4):
        trainer.step(checkpoint)
        if trainer.global_step == 2:
            checkpoint.on_validation_end(trainer, None)
            assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert checkpoint.saved == 4
    checkpoint.take_back()
    assert checkpoint.saved == torch.load(tmp_path / "last.ckpt")["global_step"] == 2
    checkpoint.take_back()
    assert (checkpoint.saved, list(tmp_path.iterdir())) == (None, [])


def test_what_is_not_sound_is_not_kept(tmp_path):
    def check(trainer):
        raise ArithmeticError

    checkpoint, trainer = StageCheckpoint(tmp_path, every=1, settings={}, check=check), Trainer()
    checkpoint.on_train_start(trainer, None)
    with pytest.raises(ArithmeticError):
        trainer.step(checkpoint)
    assert list(tmp_path.iterdir()) == []
