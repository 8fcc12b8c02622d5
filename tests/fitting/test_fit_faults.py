"""What a user can get wrong, or a disk: every verb that trains says it in one line, before long work where it can."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import BertConfig, LlamaConfig, LlamaForCausalLM, MambaConfig, T5Config, ViTConfig

from kovocab.cli.main import main
from kovocab.errors import ArtefactError
from kovocab.expanding.spelling import PIECES
from kovocab.model.causal_lm import CausalLM
from kovocab.record import read_record
from kovocab.run.folder import identity
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
        ("seed_everything", -1, "-1 is not in bounds"),
        ("config", "binary.yaml", "can't decode byte 0xff"),
    ],
)
def test_a_setting_that_cannot_be(capsys, tmp_path, setting, value, says):
    Path("binary.yaml").write_bytes(b"\xff\xfe")
    assert says in refused(capsys, "fit", "--run", tmp_path / "run", f"--{setting}={value}", code=2)
    assert not (tmp_path / "run").exists()


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
