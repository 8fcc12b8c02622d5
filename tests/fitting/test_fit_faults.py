"""What a user can get wrong, or a disk: every verb that trains says it in one line, before long work where it can."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, LlamaConfig, LlamaForCausalLM, MambaConfig, T5Config, ViTConfig

from kovocab.cli.main import main
from kovocab.errors import ArtefactError
from kovocab.expanding.spelling import PIECES
from kovocab.model.causal_lm import CausalLM
from kovocab.record import read_record
from kovocab.run.folder import Run, identity
from support.base import BASE_TOKENS
from support.expanded import save_expanded
from support.runs import make_place

pytestmark = pytest.mark.usefixtures("in_place")

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
schedule: [{input_rows: new}]
defaults: {lr: 1e-2, steps: 4}
checkpoint_every: 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded model, a corpus, a configuration, and a run that was stopped in its only stage."""
    folder = make_place(tmp_path_factory.mktemp("place"), CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.set_num_threads(1)
        args = ["fit", "--config", "fit.yaml", "--run", "stopped", "--trainer.callbacks+=support.runs.Stopper"]
        assert main(args) == 1
    return folder


@pytest.fixture
def model(tmp_path):
    """A copy of the model, to be broken."""
    shutil.copytree("expanded", tmp_path / "model")
    return tmp_path / "model"


def refused(capsys, verb, *args, code=1):
    """What a verb says in its last line, where it ends as a failed one does."""
    capsys.readouterr()
    assert main([verb, "--config", "fit.yaml", *map(str, args)]) == code
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"kovocab {verb}: ")
    return said


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_a_model_that_transformers_cannot_run_is_told_in_a_line(capsys, tmp_path, verb):
    """Its config.json and its weights belong together, so `expand` takes it; and no text goes through it."""
    model = save_expanded(tmp_path / "model", "qwen2", num_key_value_heads=32)
    args = ["--run", tmp_path / "run"] if verb == "fit" else []
    args += ["--data.tokens_dir", tmp_path / "tokens"]
    said = refused(capsys, verb, "--model.model", model, *args)
    assert f"transformers cannot run the Qwen2ForCausalLM of {model}, on four tokens: " in said
    assert said.partition("on four tokens: ")[2]  # and its own words
    assert not (tmp_path / "run/stages/1").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ArtefactError("ours")])
def test_what_is_no_fault_of_the_model_comes_through(monkeypatch, error):
    def forward(*args, **kwargs):
        raise error

    module = CausalLM("expanded")
    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    with pytest.raises(error if isinstance(error, type) else type(error)) as caught:
        module.configure_model()
    assert "four tokens" not in str(caught.value)


# ── settings ──


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("trainer.accumulate_grad_batches", 0, "wanted trainer.accumulate_grad_batches of at least 1"),
        ("trainer.devices", "two", "should be an int > 0"),
        ("trainer.strategy", "ddp_spawn", "DDPStrategy by spawn is none that fit knows; wanted auto, ddp"),
        ("trainer.strategy", "ddp_notebook", "DDPStrategy by fork is none that fit knows"),
        ("trainer.overfit_batches", 2, "trainer.overfit_batches is 2; wanted the length of a stage"),
        ("trainer.val_check_interval", 0, "val_check_interval is 0; wanted a number above 0"),
        ("trainer.precision", "transformer-engine", "transformer_engine"),
        ("data.length", 65, "data.length is 65, and the model's config.json has max_position_embeddings 64"),
        ("seed_everything", -1, "seed_everything: -1 is not in bounds"),
        ("seed_everything", 1 << 40, f"seed_everything: {1 << 40} is not in bounds"),
        ("trainer.check_val_every_n_epoch", 0, "check_val_every_n_epoch is 0; wanted at least 1"),
        ("trainer.gradient_clip_val", -1, "trainer.gradient_clip_val is -1; wanted 0 or more"),
        ("trainer.gradient_clip_val", ".nan", "trainer.gradient_clip_val is nan; wanted 0 or more"),
        ("trainer.enable_checkpointing", "false", "trainer.enable_checkpointing is false; wanted it left out"),
        ("trainer.precision", "bf16-true", "is bf16-true, and the weights are float32: "),
        ("trainer.precision", "16-true", "is 16-true, and the weights are float32: "),
        ("trainer.precision", "64-true", "is 64-true, and the weights are float32: "),
        ("data.batch_size", 10**9, "data.batch_size is 1,000,000,000, of blocks of 16 tokens; wanted at most"),
        ("evaluate_documents", -1, "evaluate_documents is -1; wanted at least 1"),
        ("evaluate_bytes", 0, "evaluate_bytes is 0; wanted at least 1"),
        ("config", "binary.yaml", "can't decode byte 0xff"),
    ],
)
def test_a_setting_that_cannot_be(capsys, tmp_path, setting, value, says):
    Path("binary.yaml").write_bytes(b"\xff\xfe")
    assert says in refused(capsys, "fit", "--run", tmp_path / "run", f"--{setting}={value}", code=2)
    assert not (tmp_path / "run").exists()


def callback(name, **init_args):
    return {"trainer": {"callbacks": [{"class_path": name, "init_args": init_args}]}}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            callback("GradientAccumulationScheduler", scheduling={0: 2}),
            "has a GradientAccumulationScheduler; wanted none",
        ),
        (callback("kovocab.StageFreezing", train=["*"]), "trainer.callbacks has a StageFreezing; wanted none"),
        ({"stages": None}, "stages is null; wanted a value"),
        ({"data": {"length": None}}, "data.length is null; wanted a value"),
        ({"defaults": None}, "defaults is null; wanted settings by their names"),
        ({"defaults": [1]}, "defaults is [1]; wanted settings by their names"),
        ({"modle": {}}, "Option 'modle' is not accepted"),
        ({"stages": {1: {"lrr": 1}}}, "stages.1.lrr: there is no such setting"),
        ({"stages": {1: {"lr": 1}, 2: {"lr": "x"}}}, "stages.*.lr is x; wanted a number"),
    ],
)
def test_a_file_that_cannot_be(capsys, tmp_path, settings, says):
    (tmp_path / "more.yaml").write_text(json.dumps(settings))
    assert says in refused(capsys, "fit", "--config", tmp_path / "more.yaml", "--run", tmp_path / "run", code=2)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_folder(capsys, tmp_path):
    (tmp_path / "more.yaml").write_text("run: null")
    assert "run is null; wanted a value" in refused(capsys, "fit", "--config", tmp_path / "more.yaml", code=2)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (callback("EarlyStopping", monitor="nope"), "trainer: Early stopping conditioned on metric `nope`"),
        (
            {"model": {"optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"betas": [2, 2]}}}},
            "model.optimizer: Invalid",
        ),
        ({"model": {"scheduler": {"class_path": "StepLR", "init_args": {"step_size": 0}}}}, "model.scheduler: "),
    ],
)
def test_what_a_class_refuses_while_it_trains(capsys, tmp_path, settings, says):
    (tmp_path / "more.yaml").write_text(json.dumps(settings))
    assert says in refused(capsys, "fit", "--config", tmp_path / "more.yaml", "--run", tmp_path / "run", code=2)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_weights_that_are_of_the_precision(tmp_path, precision):
    """What is frozen keeps its bits, and a loss is computed in fp32 whatever the Trainer makes of the default."""
    dtype = {"bf16-true": torch.bfloat16, "16-true": torch.float16}[precision]
    args = ["--model.dtype", str(dtype).removeprefix("torch."), "--trainer.precision", precision]
    args += ["--model.optimizer", "torch.optim.SGD", "--run", str(tmp_path)]  # Adam's epsilon is none in fp16
    assert main(["fit", "--config", "fit.yaml", *args]) == 0
    before, after = load_file("expanded/model.safetensors"), load_file(tmp_path / "stages/1/model.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {dtype}
    frozen = [name for name in before if "embed_tokens" not in name]
    assert all(torch.equal(before[name].to(dtype), after[name]) for name in frozen)
    rows = before["model.embed_tokens.weight"].to(dtype) != after["model.embed_tokens.weight"]
    assert not rows[:BASE_TOKENS].any()
    assert rows[BASE_TOKENS:].any()


@pytest.mark.parametrize(
    "given", ["LearningRateMonitor", "ModelCheckpoint", '[{"class_path": "LearningRateMonitor"}, "ModelCheckpoint"]']
)
def test_callbacks_of_the_user_that_watch(tmp_path, given):
    """One needs no list; and one that keeps checkpoints has a folder for them."""
    run = ["--config", "fit.yaml", "--run", str(tmp_path)]
    assert main(["fit", *run, "--trainer.callbacks", given]) == 0
    assert main(["fit", *run]) == 0  # they change nothing


@pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback with a model that overrides")
def test_a_callback_that_changes_weights_is_a_setting(capsys, tmp_path):
    (tmp_path / "more.yaml").write_text(json.dumps(callback("EMAWeightAveraging", decay=0.5)))
    more, run = ["--config", tmp_path / "more.yaml"], ["--run", tmp_path / "run"]
    assert main(["fit", "--config", "fit.yaml", *map(str, [*more, *run])]) == 0
    assert "was trained with trainer.callbacks.0.class_path " in refused(capsys, "fit", *run)
    assert "now gives 0.25" in refused(capsys, "fit", *more, *run, "--trainer.callbacks.decay", 0.25)
    assert main(["fit", "--config", "fit.yaml", *map(str, [*more, *run])]) == 0
    assert "the configuration now gives" in refused(capsys, "fit", *more, "--run", "stopped")


def test_a_plugin_that_changes_weights_is_a_setting(capsys, tmp_path):
    shutil.copytree("stopped", tmp_path / "run")
    plugin = {"class_path": "MixedPrecision", "init_args": {"precision": "bf16-mixed", "device": "cpu"}}
    (tmp_path / "more.yaml").write_text(json.dumps({"trainer": {"plugins": [plugin]}}))
    said = refused(capsys, "fit", "--config", tmp_path / "more.yaml", "--run", tmp_path / "run")
    assert "was trained with trainer.plugins.0.class_path null; the configuration now gives" in said


@pytest.mark.parametrize("name", ["32", "32-true"])
def test_a_precision_of_several_names_is_one(capsys, tmp_path, name):
    run = shutil.copytree("stopped", tmp_path / "stopped")
    assert main(["fit", "--config", "fit.yaml", "--run", str(run), "--trainer.precision", name]) == 0
    assert "resuming" in capsys.readouterr().out


def test_a_stage_that_another_run_finished_meanwhile_is_not_trained_again(capsys, monkeypatch, tmp_path):
    run = ["fit", "--config", "fit.yaml", "--run", str(tmp_path)]
    begin, ran = Run.begin, []

    def begin_late(self, number):
        monkeypatch.setattr(Run, "begin", begin)
        ran.append(main(run))
        return begin(self, number)

    monkeypatch.setattr(Run, "begin", begin_late)
    assert main(run) == 0
    assert ran == [0]
    said = capsys.readouterr().out
    assert said.count("stage 1/1: input_new; 4 steps") == 1
    assert "finished by another run: stage 1 of 1" in said
    assert not (tmp_path / "stages/.1").exists()


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("trainer.num_nodes", 0, "trainer.num_nodes is 0; wanted at least 1"),
        ("trainer.devices", [], "trainer.devices is []; wanted a number of devices"),
        ("trainer.devices", "two", "trainer.devices is two; wanted a number of devices"),
        ("trainer.devices", -1, "trainer.devices is -1; wanted a number of devices"),
        ("trainer.accumulate_grad_batches", -1, "a step has -64 tokens"),
        ("data.length", 65, "max_position_embeddings 64"),
    ],
)
def test_a_plan_of_what_cannot_be(capsys, setting, value, says):
    assert says in refused(capsys, "plan", f"--{setting}={value}", code=2)


@pytest.mark.parametrize(("given", "devices"), [("2", 2), ("0,1,2", 3), ("[0, 3]", 2), ("auto", 1), ("4,", 1)])
def test_a_plan_counts_devices_however_they_are_given(capsys, given, devices):
    capsys.readouterr()
    assert main(["plan", "--config", "fit.yaml", "--log", "json", f"--trainer.devices={given}"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == 4 * 4 * 16 * devices


def test_batches_without_end_are_no_plan(capsys):
    assert "a step has" in refused(capsys, "plan", "--data.batch_size", 10**25, code=2)


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_nothing_to_measure(capsys, verb, tmp_path):
    limits = [f"--trainer.limit_{kind}_batches=0" for kind in ("val", "test", "predict")]
    said = refused(capsys, verb, *limits, "--predictions", tmp_path / "out.parquet", code=2)
    assert "wanted some batches" in said
    assert list(tmp_path.iterdir()) == []


# ── models ──

SMALL = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
CONFIGS = {
    "bert": BertConfig(**SMALL).to_dict(),
    "t5": T5Config().to_dict(),
    "vit": ViTConfig().to_dict(),
    "mamba": MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, tie_word_embeddings=False).to_dict(),
} | {
    f"{key} {value}": LlamaConfig(**SMALL).to_dict() | {key: value}
    for key, value in {
        "vocab_size": "many",
        "hidden_size": 33,
        "num_attention_heads": 0,
        "num_hidden_layers": 0,
        "intermediate_size": -1,
        "hidden_act": "nope",
        "dtype": "float99",
        "rope_parameters": {"rope_type": "nope"},
    }.items()
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_makes_no_model(capsys, model, name, tmp_path):
    (model / "config.json").write_text(json.dumps(CONFIGS[name]))
    for verb in ("plan", "fit"):
        said = refused(capsys, verb, "--model.model", model, "--run", tmp_path / "run")
        kinds = ("cannot be", "can be made of", "exactly the weights", "no layers that a plan knows", "in its record")
        assert any(kind in said for kind in kinds), said
    assert not (tmp_path / "run/stages/1").exists()


def test_an_index_is_no_index(capsys, model, tmp_path):
    weights, index = model / "model.safetensors", model / "model.safetensors.index.json"
    run = ["--model.model", model, "--run", tmp_path / "run"]
    index.write_text('{"weight_map": {"lm_head.weight": "gone.safetensors"}}')
    assert main(["fit", "--config", "fit.yaml", *map(str, run)]) == 0  # beside one whole file transformers reads that
    shutil.rmtree(tmp_path / "run")
    weights.rename(model / "model-1.safetensors")
    for text in ("", "{}", "[]", '{"weight_map": []}'):
        index.write_text(text)
        assert f"{index} is no index of weights: " in refused(capsys, "fit", *run)
    index.write_text('{"weight_map": {"lm_head.weight": "gone.safetensors"}}')
    assert f"No such file or directory: {model}/gone.safetensors" in refused(capsys, "fit", *run)


@pytest.mark.parametrize(("key", "value"), [("vocab_size", None), ("vocab_size", "many"), ("first_new_id", "x")])
def test_a_record_without_numbers(capsys, model, tmp_path, key, value):
    (model / "kovocab.json").write_text(json.dumps(read_record(model) | {key: value}))
    run = ["--model.model", model, "--run", tmp_path / "run"]
    said = refused(capsys, "fit", *run)
    assert f"{key} is {json.dumps(value)}; wanted a whole number" in said
    assert f"; remove {model}, and run `kovocab expand` again" in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.head(5), f"the token {BASE_TOKENS + 5} is None there and "),
        (lambda table: pl.concat([table, table.tail(1).with_columns(pl.col("id") + 1)]), "and None in the tokenizer"),
        (lambda table: table.with_columns(token=pl.lit("other")), "is 'other' there and "),
        (lambda table: table.with_columns(base_pieces=pl.lit("1")), "cannot be read: "),
        (lambda table: table.drop("token"), "cannot be read: "),
    ],
)
def test_base_pieces_of_another_vocabulary(capsys, model, tmp_path, change, says):
    change(pl.read_parquet(model / PIECES)).write_parquet(model / PIECES)
    run = ["--model.model", model, "--run", tmp_path / "run"]
    assert says in refused(capsys, "fit", *run, "--defaults.label_mode", "first_piece")


@pytest.mark.parametrize("name", ["config.json", PIECES])
def test_another_config_is_another_base(model, name):
    before = identity(model)
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    assert identity(model) != before


# ── runs ──


def test_a_checkpoint_of_whole_parameters_is_none_of_shards(capsys, tmp_path):
    shutil.copytree("stopped", tmp_path / "run")
    strategy = "lightning.pytorch.strategies.ModelParallelStrategy"
    sizes = {"data_parallel_size": 1, "tensor_parallel_size": 1}
    config = tmp_path / "shards.yaml"
    config.write_text(json.dumps({"trainer": {"strategy": {"class_path": strategy, "init_args": sizes}}}))
    said = refused(capsys, "fit", "--config", config, "--run", tmp_path / "run")
    assert 'parameters "whole"; the configuration now gives "sharded over 1 processes"' in said


def test_a_finished_stage_whose_record_lacks_something(capsys, tmp_path):
    assert main(["fit", "--config", "fit.yaml", "--run", str(tmp_path)]) == 0
    record = read_record(tmp_path / "stages/1")
    for key in ("settings", "earlier", "base"):
        less = {name: value for name, value in record.items() if name != key}
        (tmp_path / "stages/1/kovocab.json").write_text(json.dumps(less))
        said = refused(capsys, "fit", "--run", tmp_path)
        assert f"stages/1/kovocab.json is not what `kovocab fit` wrote: there is no {key}; remove " in said


# ── token files ──


@pytest.mark.parametrize("verb", ["fit", "validate"])
@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_token_files_that_are_not_what_was_written(capsys, tmp_path, verb, part, how):
    tokens = shutil.copytree("tokens", tmp_path / "tokens")
    file = next(tokens.glob(f"*/{part}.bin"))
    data = bytearray(file.read_bytes())
    data[1] ^= 0xFF  # a token id that the tokenizer has not
    file.write_bytes(data[:-2] if how == "cut" else data)
    said = refused(capsys, verb, "--run", tmp_path / "run", "--data.tokens_dir", tokens)
    assert f"{file} {'has' if how == 'cut' else 'does not hold what was written'}" in said
    assert said.endswith(f"; remove {file.parent}, and it is packed again")
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_a_fingerprint_is_no_setting_of_the_weights(capsys, tmp_path):
    """What was begun by one goes on by the other: the corpus is the same."""
    run = shutil.copytree("stopped", tmp_path / "stopped")
    assert main(["fit", "--config", "fit.yaml", "--run", str(run), "--data.fingerprint", "full"]) == 0
    assert "resuming" in capsys.readouterr().out
