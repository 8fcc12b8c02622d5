"""`kovocab fit` with layers in 4 bits: merged at a stage's end, on record, gone on with after a stop, refused."""

import shlex
import shutil
import signal
from contextlib import chdir
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kovocab.errors import ArtefactError, ModelError, UsageError
from kovocab.exporting.card import _quantized, model_card
from kovocab.fitting import fit as verb
from kovocab.fitting.fit import main
from kovocab.model import qlora as room
from kovocab.model.qlora import QLoRA
from kovocab.record import RECORD, read_record
from kovocab.run.configuration import Configuration
from kovocab.run.stage_plan import stage_plans
from support.base import BASE_TOKENS
from support.four_bits import TINY, installed
from support.runs import assert_equal, fit, make_place, strike

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]

CONFIG = """
model: {model: expanded, qlora: {rank: 4, alpha: 8, dropout: 0.1, compute_dtype: float32}}
trainer: {accelerator: cpu, devices: 1, gradient_clip_val: 1.0, accumulate_grad_batches: 2}
schedule: [{output_rows: new}, {input_rows: all, output_rows: all, layers: true}, {layers: true}]
defaults: {lr: 1e-2, steps: 4}
checkpoint_every: 2
"""
FIRST_TWO = "[{output_rows: new}, {input_rows: all, output_rows: all, layers: true}]"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded model, text, a configuration of three stages, two with QLoRA, and the run `whole`."""
    folder = make_place(tmp_path_factory.mktemp("place"), CONFIG, **TINY)
    with chdir(folder):
        assert fit("whole") == 0
    return folder


@installed
def test_a_run_leaves_plain_folders_and_says_what_merging_did(in_place, capsys):
    records = [read_record(f"whole/stages/{number}", "fit") for number in (1, 2, 3)]
    plain, first, second = records
    assert "qlora" not in plain
    assert "val_merged" not in plain["loss"]
    assert plain["settings"]["model"]["qlora"] is None
    for record in (first, second):
        assert record["settings"]["model"]["qlora"]["rank"] == record["qlora"]["settings"]["rank"] == 4
        assert record["qlora"]["adapted_linears"] == record["qlora"]["quantized_linears"] == 14
        assert set(record["qlora"]["versions"]) == set(room.PACKAGES)
        assert record["freezing"]["moved_parameters"] == 0
    assert [stage.get("qlora") for stage in second["earlier"]] == [None, first["qlora"]]
    # Quantising costs some loss and merging gives it back: each is measured, on the same batches.
    assert first["loss"]["val_before"] != plain["loss"]["val"]
    assert first["loss"]["val"] < first["loss"]["val_before"]
    assert first["loss"]["val_merged"] == pytest.approx(first["loss"]["val"], abs=0.1)
    assert first["loss"]["val_merged"] != first["loss"]["val"]
    for number, record in ((2, first), (3, second)):
        folder = Path(f"whole/stages/{number}")
        assert "quantization_config" not in (folder / "config.json").read_text()
        names = {path.name for path in Path("whole/stages/1").iterdir()}
        assert {path.name for path in folder.iterdir()} == names
        assert main(["validate", "--config", "fit.yaml", "--model.model", str(folder)]) == 0
        assert float(capsys.readouterr().out.split()[1]) == pytest.approx(record["loss"]["val_merged"], abs=1e-5)
    before, after = (load_file(f"whole/stages/{number}/model.safetensors") for number in (2, 3))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {"model.embed_tokens.weight", "lm_head.weight"} == same - {n for n in same if "norm" in n}
    assert not list(Path("whole/stages").glob(".*"))
    card = model_card(second, "ours")
    assert "| 1 | none | new | none |" in card
    assert "| 2 | all | all | LoRA |" in card
    assert card.count("held the layers in 4 bits") == 2
    assert f"has held-out loss {second['loss']['val_merged']:.4g}." in card


def test_the_card_says_what_was_in_4_bits():
    stage = {
        "stage": 6,
        "settings": {"stage": {"layers": True}},
        "loss": {"val_merged": 3.25},
        "qlora": {"settings": {"rank": 4, "alpha": 8.0}},
    }
    said = _quantized(stage, 6)
    assert said.startswith("Stage 6 held the layers in 4 bits (NF4)")
    assert "LoRA of rank 4 (alpha 8) was merged" in said
    assert said.endswith("has held-out loss 3.25.")
    stage |= {"settings": {"stage": {"layers": False}}, "loss": {"val_merged": None}}
    assert _quantized(stage, 6) == "Stage 6 held the layers in 4 bits (NF4), and its losses above are with those."


@installed
def test_frozen_layers_may_be_in_4_bits_and_come_out_as_they_were(in_place, tmp_path):
    run = tmp_path / "run"
    assert fit(run, "--model.qlora.every_stage", "true", "--schedule", "[{output_rows: new}]") == 0
    record, plain = (read_record(folder / "stages/1") for folder in (run, Path("whole")))
    assert (record["qlora"]["quantized_linears"], record["qlora"]["adapted_linears"]) == (14, 0)
    assert record["loss"]["val_before"] != plain["loss"]["val_before"]
    assert record["loss"]["val_merged"] != record["loss"]["val"] < record["loss"]["val_before"]
    before, after = (load_file(folder / "model.safetensors") for folder in (Path("expanded"), run / "stages/1"))
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"lm_head.weight"}
    assert torch.equal(before["lm_head.weight"][:BASE_TOKENS], after["lm_head.weight"][:BASE_TOKENS])


class StruckError(Exception):
    """As if the power went."""


@installed
@pytest.mark.parametrize(("batch", "step"), [(2, None), (5, 2)])
def test_a_stage_that_was_stopped_ends_as_one_that_was_not(in_place, monkeypatch, tmp_path, batch, step):
    """Bit for bit: before its first checkpoint, whatever else was drawn in the process, and behind it."""

    def stop():
        raise StruckError

    run, args = tmp_path / "run", ["--schedule", FIRST_TWO]
    shutil.copytree("whole/stages/1", run / "stages/1")
    strike(monkeypatch, 2, batch, stop)
    with pytest.raises(StruckError):
        fit(run, *args)
    last = run / "stages/.2/last.ckpt"
    assert last.exists() == (step is not None)
    if step is not None:
        saved = torch.load(last, weights_only=True)
        assert saved["global_step"] == step
        # What trains, and nothing in 4 bits.
        assert {name for name in saved["state_dict"] if ".lora_" not in name} == {
            f"model.{name}"
            for name in (
                "model.embed_tokens.input_old",
                "model.embed_tokens.input_new",
                "lm_head.output_old",
                "lm_head.output_new",
            )
        }
    torch.rand(3)
    assert fit(run, *args) == 0
    for path in Path("whole/stages/2").iterdir():
        if path.name != RECORD:
            assert path.read_bytes() == (run / "stages/2" / path.name).read_bytes(), path
    assert read_record(run / "stages/2")["loss"] == read_record("whole/stages/2")["loss"]


@installed
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("place_of", ["merge", "measure"])
def test_ctrl_c_while_it_merges_trains_nothing_again(in_place, monkeypatch, capsys, tmp_path, place_of):
    del in_place
    args = ["--schedule", "[{layers: true}]"]
    assert fit(tmp_path / "whole", *args) == 0
    with monkeypatch.context() as patch:
        name = {"merge": "merge", "measure": "HeldOutLines"}[place_of]
        real = getattr(verb, name)

        def struck(*given):
            if given != ("stage 1/1, layers in 4 bits",):  # the lines of training itself
                signal.raise_signal(signal.SIGINT)
            return real(*given)

        patch.setattr(verb, name, struck)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "stopped", *args)
    assert "goes on from step 4 of 4" in capsys.readouterr().err
    assert fit(tmp_path / "stopped", *args) == 0
    assert_equal(tmp_path / "whole", tmp_path / "stopped", (1,))


@installed
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--model.qlora.rank", "8"], r"stages/2 was trained with model.qlora.rank 4; the configuration now gives 8"),
        (["--model.qlora", "null"], r"stages/2 was trained with model.qlora.rank 4; the configuration now gives null"),
    ],
)
def test_a_run_of_another_qlora_is_refused_by_name(in_place, args, says):
    with pytest.raises(ArtefactError, match=says):
        fit("whole", *args)


@installed
@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        (["--model.qlora.rank", "0"], UsageError, "model.qlora.rank is 0; wanted at least 1"),
        (["--model.qlora.dropout", "1"], UsageError, "model.qlora.dropout is 1"),
        (["--model.qlora.target_modules", "[]"], UsageError, "model.qlora.target_modules is"),
        (
            ["--model.qlora.target_modules", "[q_proj, dense]"],
            ModelError,
            r"LlamaForCausalLM has no linear 'dense' in its layers; it has q_proj, k_proj, .*, down_proj$",
        ),
        (["--model.qlora.target_modules", "[lm_head]"], ModelError, "has no linear 'lm_head'"),
        (
            ["--trainer.strategy", "{class_path: lightning.pytorch.strategies.ModelParallelStrategy}"],
            UsageError,
            "ModelParallelStrategy shards parameters",
        ),
    ],
)
def test_what_cannot_be_is_told_before_the_first_stage(in_place, tmp_path, args, error, says):
    with pytest.raises(error, match=says):
        fit(tmp_path / "run", *args)
    assert not (tmp_path / "run").exists()


def test_the_preset_composes_and_begins_with_the_command_that_uses_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    path = Path("configs/fit/qlora.yaml")
    command = shlex.split(path.read_text().splitlines()[0].removeprefix("# kovocab fit "))
    assert str(path) in command
    made = Configuration("fit", command)
    module, _ = made.build()
    assert module.qlora == QLoRA(**yaml.safe_load(path.read_text())["model"]["qlora"])
    given = made.config_init
    stages = stage_plans(given.schedule, given.stages, given.defaults, 2048 * 8 * 16)
    assert [stage.lr for stage in stages] == [2e-4, 2e-4, 2e-4, 1e-4, 1e-4, 1e-4, 1e-4]
    assert sum(stage.steps for stage in stages) * 2048 * 8 * 16 == pytest.approx(2e9, rel=0.01)
