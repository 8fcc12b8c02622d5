"""A whole run on a tiny model: seven stages, resumed after every kind of stop, and what is refused."""

import os
import re
import shutil
import signal
from contextlib import chdir
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file

from kovocab.errors import ArtefactError, CorpusError, FreezingError, KovocabError, ModelError, UsageError
from kovocab.fitting.fit import main
from kovocab.machine.stopping import exit_code
from kovocab.model.causal_lm import CausalLM
from kovocab.record import read_record, write_record
from kovocab.stages import STAGES
from support.base import BASE_TOKENS, corpus, texts
from support.expanded import save_expanded
from support.ranks import FORKED
from support.runs import assert_equal, files, fit, make_place, moved, strike

pytestmark = pytest.mark.usefixtures("in_place")

STEPS, STAGE_1_STEPS = 4, 6
CONFIG = """
model: {model: expanded}
data:
  sources:
    - {name: ko, corpus: ko.jsonl, weight: 3}
    - {name: en, corpus: en.jsonl}
  length: 16
  batch_size: 4
  validation_share: 0.05
trainer: {accelerator: cpu, devices: 1, gradient_clip_val: 1.0, accumulate_grad_batches: 2}
defaults: {lr: 1e-2, steps: 4}
stages: {1: {steps: 6, lr: 2e-2}}
checkpoint_every: 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded model (with dropout), two sources, a configuration, and the run `whole`."""
    folder = make_place(tmp_path_factory.mktemp("place"), CONFIG, data="", attention_dropout=0.1)
    corpus(folder, "en", texts(100, "tree"))
    with chdir(folder):
        assert fit("whole") == 0
    return folder


def test_every_stage_moves_what_it_trains_and_nothing_else():
    before = load_file("expanded/model.safetensors")
    for number, stage in enumerate(STAGES["eeve"], start=1):
        after = load_file(f"whole/stages/{number}/model.safetensors")
        assert moved(before, after) == stage.blocks
        before = after


def test_the_record_tells_the_whole_run():
    record = read_record("whole/stages/7", "fit")
    stages = [*record["earlier"], record]
    assert [stage["stage"] for stage in stages] == list(range(1, 8))
    assert [stage["steps"] for stage in stages] == [STAGE_1_STEPS, *[STEPS] * 6]
    assert [stage["tokens"] for stage in stages] == [steps * 4 * 16 * 2 for steps in (STAGE_1_STEPS, *[STEPS] * 6)]
    assert [stage["settings"]["stage"]["lr"] for stage in stages] == [2e-2, *[1e-2] * 6]
    assert all(stage["freezing"]["moved_parameters"] == 0 for stage in stages)
    losses = [stage["loss"] for stage in stages]
    # A stage starts where the one before it ended, measured anew from its artefact.
    assert all(after["val_before"] == before["val"] for before, after in pairwise(losses))
    assert losses[-1]["val"] < losses[0]["val_before"] - 1
    assert record["base"]["verb"] == "expand"
    assert record["first_new_id"] == BASE_TOKENS
    assert [source["name"] for source in record["data"]["sources"]] == ["ko", "en"]
    assert not list(Path("whole/stages").glob(".*"))
    assert pl.read_csv("whole/logs/stage-1/metrics.csv")["loss/val"].drop_nulls().len() == 1


def test_a_finished_run_is_not_run_again(capsys):
    before = {path: path.stat().st_mtime_ns for path in Path("whole").rglob("*")}
    assert fit("whole") == 0
    assert "finished before: stages 1 to 7 of 7" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path("whole").rglob("*")} == before


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(
    ("stage", "batch", "step", "workers", "signum"),
    [(1, 5, 3, 0, signal.SIGINT), (2, 0, 1, 1, signal.SIGTERM), (6, 4, 3, 2, signal.SIGHUP)],
)
def test_ctrl_c_saves_stops_and_resumes_to_the_same_bits(
    monkeypatch, capsys, tmp_path, stage, batch, step, workers, signum
):
    strike(monkeypatch, stage, batch, lambda: signal.raise_signal(signum))
    run = str(tmp_path / "run")
    args = ["--data.num_workers", str(workers)]  # "whole" has none: they change nothing
    for number in range(1, stage):  # these are known to be the same
        shutil.copytree(Path("whole/stages") / str(number), Path(run) / "stages" / str(number))
    before = signal.signal(signum, signal.default_int_handler)  # the shell that runs the tests may ignore it
    with pytest.raises(KeyboardInterrupt) as stopped:
        fit(run, *args)
    assert exit_code(stopped.value) == 128 + signum
    assert signal.signal(signum, before) is signal.default_int_handler
    said = capsys.readouterr().err
    assert f"stopped in stage {stage}/7; the same command goes on from step {step} of" in said
    saved = torch.load(f"{run}/stages/.{stage}/last.ckpt", weights_only=True)
    assert saved["global_step"] == step
    assert fit(run, *args) == 0
    assert "resuming" in capsys.readouterr().out
    assert_equal("whole", run, range(stage, 8))


def strike_held_out(monkeypatch, step):
    """Ctrl-C in the held-out pass at a step, once."""
    before, struck = CausalLM.validation_step, []

    def hook(self, batch, index):
        if self.trainer.global_step == step and not struck:
            struck.append(1)
            signal.raise_signal(signal.SIGINT)
        return before(self, batch, index)

    monkeypatch.setattr(CausalLM, "validation_step", hook)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(
    ("step", "says", "more"),
    [
        (0, "the same command begins it again: no step was saved yet", []),
        (3, "the same command goes on from step 3 of 6", ["--trainer.val_check_interval", "6"]),
        (6, "the same command goes on from step 6 of 6", []),
    ],
)
def test_ctrl_c_in_a_held_out_pass_loses_no_step(monkeypatch, capsys, tmp_path, step, says, more):
    args = ["--schedule", "[{input_rows: new}]", "--checkpoint_every", "100", *more]
    strike_held_out(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        fit(str(tmp_path), *args)
    assert f"stopped in stage 1/1; {says}" in capsys.readouterr().err
    assert (tmp_path / "stages/.1/last.ckpt").exists() == (step > 0)
    assert fit(str(tmp_path), *args) == 0
    for name in ("model.safetensors", "config.json"):
        assert files(tmp_path / "stages/1")[name] == files("whole/stages/1")[name]
    ours, theirs = (read_record(f"{run}/stages/1") for run in (tmp_path, "whole"))
    assert ours["loss"] == theirs["loss"]
    assert ours["freezing"] == theirs["freezing"]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_last_step_is_heard_behind_it(monkeypatch, tmp_path):
    strike(monkeypatch, 1, 2 * STAGE_1_STEPS - 1, lambda: signal.raise_signal(signal.SIGINT))
    run = str(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert torch.load(f"{run}/stages/.1/last.ckpt", weights_only=True)["global_step"] == STAGE_1_STEPS
    assert fit(run, "--schedule", "[{input_rows: new}]") == 0
    for name in ("model.safetensors", "config.json"):
        assert files(f"{run}/stages/1")[name] == files("whole/stages/1")[name]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_the_artefact_is_written_trains_nothing_again(monkeypatch, capsys, tmp_path):
    args = ["--schedule", "[{input_rows: new}]"]
    with monkeypatch.context() as patch:
        patch.setattr("kovocab.fitting.fit.copy_tokenizer", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            fit(str(tmp_path), *args)
    assert "goes on from step 6 of 6" in capsys.readouterr().err
    assert fit(str(tmp_path), *args) == 0
    assert files(tmp_path / "stages/1")["model.safetensors"] == files("whole/stages/1")["model.safetensors"]


def test_a_run_that_failed_before_a_step_takes_other_settings(tmp_path):
    run = str(tmp_path / "run")
    with pytest.raises(CorpusError, match="body"):
        fit(run, "--data.sources", "[{name: ko, corpus: ko.jsonl}, {name: en, corpus: en.jsonl, column: body}]")
    assert fit(run, "--schedule", "[{input_rows: new}]") == 0


def killed(run, stage):
    """A run that is killed in the middle of a stage, after its first checkpoint."""
    strike(pytest.MonkeyPatch(), stage, 5, lambda: os.kill(os.getpid(), signal.SIGKILL))
    fit(run)


def test_kill_9_in_every_stage_resumes_to_the_same_bits(tmp_path):
    run = str(tmp_path / "run")
    for stage in range(1, 8):
        process = FORKED.Process(target=killed, args=(run, stage))  # whose hashes have another seed than ours
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert torch.load(f"{run}/stages/.{stage}/last.ckpt", weights_only=True)["global_step"] == 2
    assert fit(run) == 0
    assert_equal("whole", run, range(1, 8))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ["--stages.1.lr", "0.5"],
            r"stages/1 was trained with stage.lr 0.02; the configuration now gives 0.5",
        ),
        (["--defaults.steps", "9"], "stages/2 was trained with stage.steps 4; the configuration now gives 9"),
        (["--data.seed", "1"], "data.seed 0"),
        (["--data.batch_size", "2"], "trainer.tokens_per_step 128"),
        (["--trainer.gradient_clip_val", "3"], "trainer.gradient_clip_val 1.0"),
        (["--model.optimizer.eps", "1e-7"], "model.optimizer.init_args.eps 1e-08"),
        (["--seed_everything", "7"], "trained with seed 0"),
        (["--data.validation_share", "0.1"], "data.sources.ko.validation_share 0.05"),
        (["--schedule", "kosolar", "--stages.1.steps", "6"], 'stage.output_rows "none"'),
    ],
)
def test_a_run_of_other_settings_is_refused_by_name(args, says):
    with pytest.raises(ArtefactError, match=says):
        fit("whole", *args)


def test_a_run_of_another_base_is_refused(tmp_path):
    save_expanded(tmp_path / "other", seed=1)
    with pytest.raises(
        ArtefactError,
        match=r"stages/1 was trained with base\.config\.json and base\.model\.safetensors of other content",
    ):
        fit("whole", "--model.model", str(tmp_path / "other"))


def test_a_stage_without_its_predecessor_is_refused(tmp_path):
    shutil.copytree("whole/stages/2", tmp_path / "run/stages/2")
    with pytest.raises(ArtefactError, match=r"stages/2 is there and .*stages/1"):
        fit(str(tmp_path / "run"))


@pytest.mark.usefixtures("ctrl_c")
def test_a_stage_in_progress_of_other_settings_is_refused(tmp_path, monkeypatch):
    strike(monkeypatch, 1, 5, lambda: signal.raise_signal(signal.SIGINT))
    run = str(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    with pytest.raises(ArtefactError, match=r"stages/\.1 was trained with stage.weight_decay 0.1"):
        fit(run, "--defaults.weight_decay", "0")


class Mover(Callback):
    """Somebody's callback that touches what is frozen."""

    def on_train_batch_end(self, trainer, pl_module, *args):
        with torch.no_grad():
            pl_module.loaded.get_input_embeddings().input_old[0] += 1


def test_a_stage_that_moves_what_is_frozen_fails_and_leaves_no_artefact(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(FreezingError, match="input_old"):
        fit(str(run), "--trainer.callbacks+=test_fit.Mover")
    assert not (run / "stages/1").exists()


def test_a_stage_that_was_cut_short_is_not_finished_and_goes_on(tmp_path, capsys):
    run = tmp_path / "run"
    args = ["--schedule", "[{input_rows: new}]"]
    with pytest.raises(ModelError, match=r"stage 1/1 ended at step 3 of 6"):
        fit(str(run), *args, "--trainer.callbacks+=support.runs.Stopper")
    assert not (run / "stages/1").exists()
    assert fit(str(run), *args) == 0
    assert "resuming" in capsys.readouterr().out
    assert files(run / "stages/1")["model.safetensors"] == files("whole/stages/1")["model.safetensors"]


def test_a_tied_model_is_refused_what_would_train_one_embedding_alone(tmp_path):
    tied = save_expanded(tmp_path / "tied", tie_word_embeddings=True)
    write_record(tied, read_record(tied) | {"tied": True})
    run, args = tmp_path / "run", ["--model.model", str(tied), "--data.tokens_dir", str(tmp_path / "tokens")]
    fifth = "[" + "{layers: true}, " * 4 + "{input_rows: new, output_rows: all}]"
    same = ": stages 1, 2 and 3 would be one and the same, and so would 4 and 5"
    of_layers = ": stages 1, 2, 3 and 4 would be one and the same"
    for schedule, says, alike, wanted in (
        ("eeve", "stage 1 has input_rows new and output_rows none", same, "1, 2, 4 and 5"),
        (fifth, "stage 5 has input_rows new and output_rows all", of_layers, "5"),
        ("kosolar", "stage 1 has input_rows new and output_rows all", "", "1"),
    ):
        told = f"tied, one matrix{alike}; wanted the same rows of both in {wanted}, as in"
        with pytest.raises(ModelError, match=rf"{says}, and the embeddings of .* are {re.escape(told)}"):
            fit(str(run), *args, "--schedule", schedule)
    assert not run.exists()
    assert not (tmp_path / "tokens").exists()
    same_rows = (
        "[{input_rows: new, output_rows: new}, {input_rows: all, output_rows: all, layers: true}, {layers: true}]"
    )
    assert fit(str(run), *args, "--schedule", same_rows, "--defaults.steps", "1", "--stages", "{}") == 0
    with pytest.raises(ModelError, match="stage 1 has"):  # a later run, from a stage of the first
        fit(str(tmp_path / "later"), "--model.model", str(run / "stages/1"))


@pytest.mark.parametrize("verb", ["fit", "validate"])
@pytest.mark.parametrize(("key", "value"), [("devices", "0"), ("strategy", "foo")])
def test_what_lightning_refuses_is_told_in_a_line(tmp_path, verb, key, value):
    args = [verb, "--config", "fit.yaml", f"--trainer.{key}", value]
    with pytest.raises(UsageError, match=rf"^trainer: .*{key}") as caught:
        main(args + (["--run", str(tmp_path / "run")] if verb == "fit" else []))
    assert "\n" not in str(caught.value)


def test_what_lightning_refuses_when_the_fit_begins_is_told_in_a_line(tmp_path):
    args = ["--trainer.logger", "false", "--trainer.callbacks+=lightning.pytorch.callbacks.LearningRateMonitor"]
    with pytest.raises(UsageError, match=r"^trainer: .*LearningRateMonitor.* no logger"):
        fit(str(tmp_path / "run"), *args)


def test_the_kosolar_stage_on_a_head_with_bias(tmp_path):
    save_expanded(tmp_path / "phi", "phi")
    args = [
        "--model.model",
        str(tmp_path / "phi"),
        "--schedule",
        "kosolar",
        "--trainer.val_check_interval",
        "2",
    ]
    assert fit(str(tmp_path / "run"), *args) == 0
    record = read_record(tmp_path / "run/stages/1")
    assert record["of"] == 1
    assert record["freezing"]["moved_parameters"] == 0
    assert record["loss"]["val"] < record["loss"]["val_before"]


def test_a_later_run_starts_from_a_stage_of_an_earlier_one(tmp_path):
    args = ["--model.model", "whole/stages/7", "--schedule", "[{layers: true}]", "--stages", "{}"]
    assert fit(str(tmp_path / "run"), *args) == 0
    record = read_record(tmp_path / "run/stages/1")
    assert record["base"]["verb"] == "fit"
    assert record["loss"]["val_before"] == read_record("whole/stages/7")["loss"]["val"]


def test_validate_test_and_predict_agree_with_the_record(tmp_path, capsys):
    loss = read_record("whole/stages/7")["loss"]["val"]
    for verb in ("validate", "test"):
        assert main([verb, "--config", "fit.yaml", "--model.model", "whole/stages/7"]) == 0
        name, value = capsys.readouterr().out.split()
        assert name == {"validate": "loss/val", "test": "loss/test"}[verb]
        assert float(value) == pytest.approx(loss, abs=1e-5)
    path = tmp_path / "p.parquet"
    args = ["--config", "fit.yaml", "--model.model", "whole/stages/7", "--predictions", str(path)]
    assert main(["predict", *args]) == 0
    table = pl.read_parquet(path)
    assert table["loss"].mean() == pytest.approx(loss, abs=1e-5)
    assert set(table["source"]) == {"ko", "en"}
    assert "나무" in "".join(table["text"])


@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        (["--stages.1.lrr", "1"], UsageError, "lrr"),
        (["--config", "misspelt.yaml"], UsageError, "bach_size"),
        (["--trainer.max_stepz", "1"], UsageError, "max_stepz"),
        (["--config", "missing.yaml"], UsageError, "missing.yaml"),
        (["--schedule", "eve"], UsageError, "there is no 'eve'; wanted eeve, kosolar"),
        (["--schedule", "[]"], UsageError, "the list is empty"),
        (["--schedule", "[{input_rows: none}]"], UsageError, "a stage trains nothing"),
        (["--schedule", "[{input_rows: old}]"], UsageError, "input_rows"),
        (["--stages.8.lr", "1"], UsageError, "there is no stage 8; the schedule has 1 to 7"),
        (["--stages.2.tokens", "100", "--stages.2.steps", "3"], UsageError, "stage 2: steps and tokens"),
        (["--defaults.steps", "null"], UsageError, "stage 2 has no steps"),
        (["--defaults.lr", "null"], UsageError, "stage 2 has no lr"),
        (["--defaults.lr", "-1"], UsageError, "stage 2: lr is -1"),
        (["--defaults.warmup", "1.5"], UsageError, "warmup is 1.5"),
        (["--trainer.max_steps", "5"], UsageError, "trainer.max_steps is 5"),
        (["--trainer.max_epochs", "5"], UsageError, "trainer.max_epochs is 5"),
        (["--trainer.max_time", "{seconds: 0}"], UsageError, "trainer.max_time is"),
        (["--trainer.limit_train_batches", "3"], UsageError, "trainer.limit_train_batches is 3"),
        (["--trainer.min_steps", "3"], UsageError, "trainer.min_steps is 3"),
        (["--trainer.min_epochs", "3"], UsageError, "trainer.min_epochs is 3"),
        (["--checkpoint_every", "0"], UsageError, "checkpoint_every is 0"),
        (["--data.sources", "[]"], UsageError, "data.sources is empty"),
        (["--data.sources", "[{name: a, corpus: nowhere.jsonl}]"], CorpusError, "nowhere.jsonl"),
        (["--data.tokenizer", "x"], UsageError, "data.tokenizer"),
        (["--model.model", "nowhere"], ArtefactError, "nowhere"),
        (["--model.model", "counted"], ModelError, "`kovocab count`"),
        (["--model.model", "narrow"], ModelError, "has 320 tokens and the model 319 rows"),
    ],
)
def test_bad_input_is_named(place, tmp_path, args, error, says):
    (place / "misspelt.yaml").write_text("data: {bach_size: 3}")
    (place / "counted").mkdir(exist_ok=True)
    write_record(place / "counted", {"verb": "count"})
    if not (place / "narrow").exists():
        record = read_record(shutil.copytree(place / "expanded", place / "narrow"))
        write_record(place / "narrow", record | {"vocab_size": 319})
    with pytest.raises(error, match=says) as caught:
        fit(str(tmp_path / "run"), *args)
    assert isinstance(caught.value, KovocabError)
    assert not (tmp_path / "run").exists()


def test_print_config_runs_again(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        fit("whole", "--print_config")
    assert ended.value.code == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    assert main(["fit", "--config", str(path)]) == 0
    assert "finished before" in capsys.readouterr().out


def test_later_files_win(tmp_path):
    path = tmp_path / "more.yaml"
    path.write_text("defaults: {weight_decay: 0.3}")
    with pytest.raises(ArtefactError, match=r"stage.weight_decay 0.1; the configuration now gives 0.3"):
        fit("whole", "--config", str(path))


def test_a_terminal_gets_a_bar_named_by_the_stage(tmp_path, capsys):
    args = ["--trainer.enable_progress_bar", "true", "--schedule", "[{input_rows: new}]"]
    assert fit(str(tmp_path / "run"), *args) == 0
    out = capsys.readouterr().out
    assert f"stage 1/1: 100%|██████████| {2 * STAGE_1_STEPS}/{2 * STAGE_1_STEPS}" in out
    assert "Epoch" not in out
    assert "v_num" not in out
