"""A run goes on from its own checkpoint or says why not; on two processes it ends as one that was never killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path

import pytest
import torch

from kovocab import workplace
from kovocab.cli.main import main
from kovocab.errors import CorpusError
from kovocab.record import read_record
from kovocab.run.processes import held
from kovocab.run.stage_checkpoint import LAST
from support import runs
from support.expanded import save_expanded
from support.ranks import fresh_port, on_two

pytestmark = pytest.mark.usefixtures("in_place")

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1, gradient_clip_val: 1.0, accumulate_grad_batches: 2}
schedule: [{input_rows: new}, {input_rows: new, output_rows: all}, {layers: true}]
defaults: {lr: 1e-2, steps: 4}
checkpoint_every: 2
"""
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
ONE_STAGE = ["--schedule", "[{input_rows: new}]"]
STOPPED = "--trainer.callbacks+=support.runs.Stopper"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded model (with dropout), a corpus and a configuration."""
    return runs.make_place(tmp_path_factory.mktemp("place"), CONFIG, attention_dropout=0.1)


def fit(run, *args):
    """`kovocab fit` by the front door: the exit code."""
    torch.set_num_threads(1)
    return main(["fit", "--config", "fit.yaml", "--run", str(run), *args])


@pytest.fixture(scope="module")
def begun(place, tmp_path_factory):
    """The file that a run whose first stage was cut short left to go on from."""
    run = tmp_path_factory.mktemp("begun") / "run"
    with chdir(place):
        assert fit(run, *ONE_STAGE, STOPPED) == 1
    return run / "stages/.1" / LAST


@pytest.fixture
def last(begun, tmp_path):
    """The same in a run of its own: its only checkpoint."""
    copied = tmp_path / "run/stages/.1" / LAST
    copied.parent.mkdir(parents=True)
    for name, data in runs.files(begun.parent).items():
        (copied.parent / name).write_bytes(data)
    return copied


def refused(capsys, run, *args):
    """What `fit` says in its one line."""
    capsys.readouterr()
    assert fit(run, *args) == 1
    said = capsys.readouterr().err.removeprefix("kovocab fit: ").splitlines()
    assert len(said) == 1, said
    return said[0]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no zip", flipped]
)
def test_a_damaged_checkpoint_is_named(last, capsys, damage):
    last.write_bytes(damage(last.read_bytes()))
    said = refused(capsys, last.parents[2], *ONE_STAGE)
    assert f"{last} cannot be read: " in said
    assert said.endswith("; remove it to train the stage from its start")
    last.unlink()
    assert fit(last.parents[2], *ONE_STAGE) == 0


def test_a_checkpoint_of_somebody_else_is_named(last, capsys):
    torch.save({"state_dict": {}}, last)
    assert f"{last} cannot be read: " in refused(capsys, last.parents[2], *ONE_STAGE)


@pytest.mark.parametrize(
    ("key", "other", "says"),
    [
        ("number", 2, "number 2; the configuration now gives 1"),
        ("stage.output_rows", "new", 'stage.output_rows "new"; the configuration now gives "none"'),
        ("base", {"kovocab.json": "0"}, 'base.kovocab.json "0"; '),
        ("data.sources.ko.tokenizer", "0", 'data.sources.ko.tokenizer "0"; the configuration now gives '),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(last, capsys, key, other, says):
    checkpoint = torch.load(last, weights_only=True)
    settings = next(state["settings"] for state in checkpoint["callbacks"].values() if "settings" in state)
    *parents, name = key.split(".")
    for parent in parents:
        settings = settings[parent]
    assert name in settings
    settings[name] = other
    torch.save(checkpoint, last)
    assert f"{last} was trained with {says}" in refused(capsys, last.parents[2], *ONE_STAGE)


def test_a_checkpoint_moved_from_another_base_is_refused(last, capsys, place, tmp_path):
    other = save_expanded(tmp_path / "other", seed=1, intermediate_size=32)
    run = tmp_path / "other run"
    args = [*ONE_STAGE, "--model.model", str(other)]
    assert fit(run, *args, STOPPED) == 1
    (run / "stages/.1" / LAST).write_bytes(last.read_bytes())
    assert "was trained with base.config.json" in refused(capsys, run, *args)


def test_a_stage_that_another_process_trains_is_left_alone(last, capsys):
    with held(last.parent):
        assert f"{last.parent} is being trained by another process" in refused(capsys, last.parents[2], *ONE_STAGE)
    assert fit(last.parents[2], *ONE_STAGE) == 0


def test_what_a_killed_run_left_is_removed_and_nothing_else(last, caplog):
    left = last.parents[1] / ".1.0123456789ab.part"
    (left / "new").mkdir(parents=True)
    (left / "kovocab.txt").write_bytes(workplace._mark(last.parents[1] / "1") + workplace._machine())
    (left / "new/model.safetensors").write_bytes(b"half a model")
    last.with_suffix(".part").write_bytes(b"half a checkpoint")
    (last.parent / "notes.txt").write_text("mine")
    (last.parents[1] / ".1.part").mkdir()
    with caplog.at_level("WARNING"):
        assert fit(last.parents[2], *ONE_STAGE) == 0
    assert sorted(path.name for path in last.parents[1].iterdir()) == [".1", ".1.part", "1"]
    assert [path.name for path in last.parent.iterdir()] == ["notes.txt"]
    assert f"{last.parent / 'notes.txt'} is not kovocab's, and stays" in caplog.messages


def test_a_validation_interval_longer_than_a_stage_is_its_end(tmp_path):
    assert fit(tmp_path / "run", *ONE_STAGE, "--trainer.val_check_interval", "1000") == 0
    loss = read_record(tmp_path / "run/stages/1")["loss"]
    assert loss["val"] < loss["val_before"]


def test_checkpoints_take_no_detour(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert fit(tmp_path / "run", *ONE_STAGE, STOPPED) == 1
    assert (tmp_path / "run/stages/.1" / LAST).exists()


def test_a_full_disk_is_named(disk, capsys):
    full = disk("100k")
    said = refused(capsys, full / "run", *ONE_STAGE)
    assert said == f"{full}/run/stages/.1/{LAST} cannot be written: No space left on device"
    assert {path.name for path in (full / "run/stages/.1").iterdir()} == {"settings.json", "lock"}


def test_kill_9_on_two_processes_resumes_to_the_same_bits(tmp_path):
    """The main process is killed while the other is busy: that one may not stay behind."""
    schedule = ["--schedule", "[{input_rows: new}, {input_rows: new, output_rows: all, layers: true}]"]
    on_two(runs.fit, tmp_path / "whole", *schedule, *TWO)
    killed = ["--config", "fit.yaml", *schedule, "--run", str(tmp_path / "killed"), *TWO]
    script = str(Path(__file__).parents[1] / "support/killable_fit.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, script, "2", "5", "0", *killed]
    first = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said = first.communicate(timeout=120)[1]
        assert first.returncode == -signal.SIGKILL, said
    finally:
        assert gone(first.pid)
    assert torch.load(tmp_path / "killed/stages/.2" / LAST, weights_only=True)["global_step"] == 2

    command = [sys.executable, "-m", "kovocab", "fit", *killed]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert second.returncode == 0, second.stderr
    assert "finished before: stage 1 of 2" in second.stdout
    assert "stages/.2/last.ckpt" in second.stdout
    runs.assert_equal(tmp_path / "whole", tmp_path / "killed", (1, 2))


def stopped_behind_the_last_step(folder, *args):
    """Two runs on this rank: one that is never stopped, one that Ctrl-C stops behind its last step, and goes on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fresh_port()
    runs.fit(folder / "whole", *args)
    with pytest.MonkeyPatch.context() as patch:
        runs.strike(patch, 1, 7, lambda: signal.raise_signal(signal.SIGINT))
        fresh_port()
        with pytest.raises(KeyboardInterrupt):
            runs.fit(folder / "stopped", *args)
    fresh_port()
    runs.fit(folder / "stopped", *args)


def with_a_corpus_of_its_own(folder, *args):
    """What a run says on this rank, whose corpus is another than the other rank's."""
    rank = os.environ["RANK"]
    texts = Path("ko.jsonl").read_text().splitlines(keepends=True)
    (folder / rank).mkdir()
    (folder / rank / "ko.jsonl").write_text("".join(texts[: len(texts) - int(rank)]))
    sources = f"[{{name: ko, corpus: {folder}/{rank}/ko.jsonl}}]"
    try:
        runs.fit(folder / "run", *args, "--data.sources", sources, "--data.tokens_dir", str(folder / "tokens"))
    except CorpusError as error:
        return str(error)
    return "nothing"


def test_processes_that_would_train_on_different_data_all_end(tmp_path):
    for said in on_two(with_a_corpus_of_its_own, tmp_path, *ONE_STAGE, *TWO):
        assert said.startswith("the processes of this run found different corpora or tokenizers")
    assert not list((tmp_path / "run").rglob("*.ckpt"))


SHARDED = [
    "--trainer.strategy=lightning.pytorch.strategies.ModelParallelStrategy",
    "--trainer.strategy.data_parallel_size=2",
    "--trainer.strategy.tensor_parallel_size=1",
]


@pytest.mark.parametrize("strategy", [TWO[2:], SHARDED], ids=["ddp", "fsdp2"])
def test_ctrl_c_behind_the_last_step_on_two_processes_ends_in_the_same_bits(tmp_path, strategy):
    on_two(stopped_behind_the_last_step, tmp_path, *ONE_STAGE, *TWO[:2], *strategy)
    runs.assert_equal(tmp_path / "whole", tmp_path / "stopped", (1,))


def gone(group, seconds=20):
    """Whether every process of a group ends by itself; it is ended in any case."""
    for _ in range(seconds * 10):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return False
