"""`kovocab plan`: the same files as fit, a table or JSON, what does not fit in words; and no weight is read."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, PhiConfig

from kovocab.cli import main as cli
from kovocab.model import qlora
from kovocab.record import read_record
from support.base import BASE_TOKENS, NEW_TOKENS
from support.four_bits import installed
from support.reference import zstd
from support.runs import fit, make_place

pytestmark = pytest.mark.usefixtures("in_place")
ROOT = Path(__file__).parents[2]
CONFIG = """
model: {model: expanded, dtype: float32}
trainer: {accelerator: cpu, devices: 1, accumulate_grad_batches: 2}
defaults: {lr: 1e-2, steps: 3}
"""
SHARDED = {"class_path": "lightning.pytorch.strategies.ModelParallelStrategy"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = make_place(tmp_path_factory.mktemp("plan"), CONFIG)
    # SOLAR's shape: Llama 2's width and heads, which are the default, and 48 layers
    sizes = {"intermediate_size": 14_336, "num_hidden_layers": 48, "num_key_value_heads": 8}
    (folder / "solar").mkdir()
    LlamaConfig(max_position_embeddings=4096, dtype=torch.bfloat16, **sizes).save_pretrained(folder / "solar")
    return folder


def plan(capsys, *args, code=0):
    capsys.readouterr()
    assert cli.main(["plan", "--config", "fit.yaml", *args]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def rows(capsys, *args):
    return [json.loads(line) for line in plan(capsys, *args, "--log", "json").splitlines()]


def solar(capsys, *args):
    sizes = ["--data.length", "2048", "--data.batch_size", "1", "--trainer.accelerator", "auto"]
    return rows(capsys, "--model.model", "solar/config.json", *sizes, *args)


def test_it_predicts_the_run(capsys):
    planned = rows(capsys, "--schedule", "kosolar")
    assert fit("run", "--schedule", "kosolar") == 0
    record = read_record("run/stages/1")
    assert [row["tokens"] for row in planned] == [record["tokens"]]
    assert planned[0]["parameters"] == record["freezing"]["trained_elements"]
    assert planned[0]["trains"] == ["input_new", "output_new", "output_old"]


def test_no_weight_is_read_and_nothing_is_written(capsys):
    weights = Path("expanded/model.safetensors")
    kept = weights.read_bytes()
    weights.unlink()
    before = set(Path().rglob("*"))
    try:
        planned = rows(capsys)
    finally:
        weights.write_bytes(kept)
    assert len(planned) == 7
    assert set(Path().rglob("*")) == before | {weights}


def test_the_table_has_a_line_a_stage_and_their_sum(capsys):
    said = plan(capsys, "--gpu", "H100").splitlines()
    assert f"{BASE_TOKENS + NEW_TOKENS} rows of which {NEW_TOKENS} new" in said[0]
    assert said[1].startswith("1 x H100, 79.0 GiB, 0.4 of its peak: one; 4 x 16 tokens a device, 128 a step")
    assert [line.split()[0] for line in said[2:]] == ["stage", "1", "2", "3", "4", "5", "6", "7", "all"]


def test_a_model_of_10_b_from_its_configuration_alone(capsys):
    planned = solar(capsys, "--memory", "24GiB", "--model.dtype", "bfloat16", "--trainer.precision", "bf16-true")
    whole = planned[5]
    assert whole["parameters"] == 10_804_924_416  # 10.73 B and two times 8,960 rows
    # bf16: 2 bytes of weights, 2 of gradients, 4 of AdamW's moments
    assert whole["gradients"] == 2 * whole["parameters"]
    assert whole["optimizer"] == pytest.approx(4 * whole["parameters"], rel=1e-6)
    # What the layers keep for the backward pass is too much too; stages 2 and 4 keep nothing.
    assert [row["stage"] for row in planned if not row["lacking"]] == [2, 4]
    assert whole["lacking"] == whole["peak"] - (24 << 30)


SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.mark.parametrize(
    ("name", "rows", "tokens", "args", "grown"),
    [
        ("phi2", 51_200, 50_295, [], 59_255),
        ("phi2", 51_200, 50_295, ["--new_tokens", "100"], 51_200),  # all of them in padding rows
        ("phi2", 51_200, 50_295, ["--pad_to_multiple_of", "64"], 59_264),
        ("qwen2", 151_936, 151_646, [], 160_606),
        ("mistral_v1", 32_000, 32_000, [], 40_960),
    ],
)
def test_new_tokens_take_padding_rows_first(capsys, tmp_path, caplog, data, name, rows, tokens, args, grown):
    file = data / "tokenizers" / name / "tokenizer.json"
    packed = file.with_suffix(".json.zst")
    (tmp_path / "tokenizer.json").write_bytes(
        zstd.decompress(packed.read_bytes()) if packed.exists() else file.read_bytes()
    )
    kind = PhiConfig if name == "phi2" else LlamaConfig
    kind(vocab_size=rows, **SMALL).save_pretrained(tmp_path)
    for model in (tmp_path, tmp_path / "config.json"):
        said = plan(capsys, "--model.model", str(model), *args).splitlines()[0]
        assert f", {grown:,} rows of which {grown - tokens:,} new" in said
    assert not caplog.messages


def test_a_plan_that_expand_would_refuse(capsys, tmp_path, data):
    shutil.copy(data / "tokenizers" / "phi2" / "tokenizer.json", tmp_path)
    PhiConfig(vocab_size=60_000, **SMALL).save_pretrained(tmp_path)
    said = plan(capsys, "--model.model", str(tmp_path), code=1)
    assert "has 60,000 embedding rows and the base tokenizer of" in said
    said = plan(capsys, "--model.model", "solar", "--pad_to_multiple_of", "0", code=2)
    assert "pad_to_multiple_of is 0; wanted a number from 1" in said


def test_a_configuration_alone_is_planned_with_a_word_on_what_is_assumed(capsys, tmp_path, caplog):
    PhiConfig(vocab_size=51_200, **SMALL).save_pretrained(tmp_path)
    said = plan(capsys, "--model.model", str(tmp_path))
    assert ", 60,160 rows of which 8,960 new" in said
    assert len(caplog.messages) == 1
    assert "config.json: there is no tokenizer beside it, so all its 51,200 rows are taken for tokens" in caplog.text


def test_what_does_not_fit_is_said_and_what_would(capsys):
    sizes = ["--data.length", "2048", "--trainer.accelerator", "auto", "--model.model", "solar"]
    said = plan(capsys, *sizes, "--gpu", "H100", "--trainer.precision", "bf16-mixed")
    lines = [line for line in said.splitlines() if "does not fit" in line]
    assert [line.split()[1] for line in lines] == ["1", "3", "5", "6", "7"]
    for line in lines[:3]:
        assert "lacking; it ends in the activations; with activation checkpointing it takes" in line
    for line in lines[3:]:
        assert "lacking; it ends in the gradients" in line
        assert "with FSDP2 over 4 devices and activation checkpointing it takes" in line


def test_eight_gpus_hold_what_one_does_not(capsys):
    sharded = SHARDED | {"init_args": {"data_parallel_size": 8, "tensor_parallel_size": 1}}
    eight = ["--trainer.devices", "8", "--trainer.precision", "bf16-mixed", "--gpu", "H100"]
    spread = solar(capsys, *eight, "--trainer.strategy", json.dumps(sharded))[5]
    whole = solar(capsys, *eight, "--trainer.strategy", "ddp")[5]
    assert spread["lacking"] == 0 < whole["lacking"]
    assert spread["weights"] == pytest.approx(whole["weights"] / 8, rel=1e-3)
    # DDP holds each gradient twice: the parameter's own and the bucket's
    assert spread["gradients"] == pytest.approx(whole["gradients"] / 16, rel=1e-3)
    assert (
        spread["hours"]
        == whole["hours"]
        == pytest.approx(spread["tokens"] * spread["flops_per_token"] / (8 * 989.4e12 * 0.4) / 3600)
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--gpu", "H1000"], "gpu is H1000; wanted one of H100"),
        (["--mfu", "40"], "mfu is 40.0; wanted a share"),
        (["--trainer.devices", "-1"], "trainer.devices is -1; wanted a number"),
        (["--trainer.strategy", "fsdp"], "fsdp is none that a plan knows"),
        (["--trainer.devices", "2", "--trainer.strategy", json.dumps(SHARDED)], "wanted 2 (all devices) and 1"),
        (["--model.model", "solar", "--new_tokens", "0"], "new_tokens is 0; wanted at least 1"),
    ],
)
def test_what_cannot_be_planned_is_a_usage_error(capsys, args, said):
    assert said in plan(capsys, *args, code=2)


def solar_in_4_bits(capsys, *args):
    """The preset, over SOLAR's shape."""
    files = ("configs/fit.yaml", "configs/stages/eeve.yaml", "configs/fit/qlora.yaml")
    given = [part for file in files for part in ("--config", str(ROOT / file))]
    capsys.readouterr()
    assert cli.main(["plan", *given, "--model.model", "solar", *args]) == 0
    return capsys.readouterr().out.splitlines()


@installed
def test_the_preset_with_layers_in_4_bits_is_planned(capsys):
    planned = [json.loads(line) for line in solar_in_4_bits(capsys, "--data.batch_size", "1", "--log", "json")]
    assert [row["layers_in_4_bits"] for row in planned] == [False] * 5 + [True] * 2
    assert planned[0]["weights"] == pytest.approx(4 * 10_804_924_416, rel=1e-6)
    whole, layers = planned[5:]
    width, inner, few = 4096, 14_336, 1024
    sizes = [(width, width)] * 2 + [(width, few)] * 2 + [(width, inner)] * 3
    lora = 48 * sum(64 * (i + o) for i, o in sizes)
    rows = 2 * 40_960 * width
    assert (layers["parameters"], whole["parameters"]) == (lora, lora + rows)
    for row in (whole, layers):
        assert (row["gradients"], row["step"]) == (4 * row["parameters"],) * 2
        assert row["optimizer"] == pytest.approx(8 * row["parameters"], rel=1e-5)  # and steps
    # Two weights a byte; a byte a block of 64, 4 a block of 256 such; two tables and a mean for each linear.
    packed = 48 * sum(i * o // 2 + i * o // 64 + i * o // 64 // 256 * 4 + 4 * (16 + 256 + 1) for i, o in sizes)
    assert whole["weights"] == layers["weights"] == pytest.approx(packed + 4 * (lora + rows + 97 * width), rel=1e-6)
    # 4P in bf16 and 6R, attention and output in fp32
    products = 48 * sum(i * o for i, o in sizes)
    others = 6 * lora + 3 * 4 * 48 * 2048 * width + 2 * 2 * 40_960 * width
    assert layers["flops_per_token"] == 4 * products + others
    seconds = layers["tokens"] * (4 * products / 989.4e12 + others / 66.9e12) / 0.4
    assert layers["hours"] == pytest.approx(seconds / 3600)


@installed
def test_what_would_make_it_fit_is_not_fsdp2(capsys):
    said = solar_in_4_bits(capsys, "--data.batch_size", "1", "--memory", "30GiB")
    assert said[0].endswith("weights float32, products float32, of layers in 4 bits bfloat16, LoRA of rank 64")
    assert ["LoRA; layers in 4 bits" in line for line in said[3:10]] == [False] * 6 + [True]
    remedies = {line.split()[1]: line.rpartition("; ")[2] for line in said if "does not fit" in line}
    assert set(remedies) == {"1", "2", "3", "4", "5", "6", "7"}
    assert all(remedies[number].startswith("with model.qlora.every_stage it takes") for number in "124")
    assert remedies["5"].startswith("with model.qlora.every_stage and activation checkpointing it takes")
    assert all(remedies[number].startswith("with activation checkpointing it takes") for number in "67")


@installed
def test_what_nothing_makes_fit_is_said(capsys):
    settings = ["--model.qlora.target_modules", "[q_proj]", "--schedule", "[{layers: true}]", "--memory", "512MiB"]
    said = plan(capsys, *settings, "--data.batch_size", "100000").splitlines()
    assert said[-1].endswith("in 4 bits over devices: wanted a smaller batch_size or length")


@pytest.mark.parametrize("every", [False, True])
def test_layers_in_4_bits_are_not_sharded(capsys, every):
    """Where no stage holds them so, they may be, as in fit."""
    sharded = json.dumps(SHARDED | {"init_args": {"data_parallel_size": 2, "tensor_parallel_size": 1}})
    settings = ["--model.qlora.rank", "4", "--model.qlora.every_stage", str(every).lower(), "--schedule", "kosolar"]
    said = plan(capsys, "--trainer.devices", "2", "--trainer.strategy", sharded, *settings, code=2 * every)
    assert ("model.qlora: ModelParallelStrategy shards parameters, and 4-bit ones cannot be" in said) == every


def test_what_layers_in_4_bits_need_is_said(capsys, monkeypatch):
    settings = ["--model.qlora.rank", "4", "--schedule", "[{layers: true}]"]
    if installed.args[0] is False:
        wanted = ["--model.qlora.target_modules", "[dense]"]
        assert "has no linear 'dense' in its layers" in plan(capsys, *settings, *wanted, code=1)
    monkeypatch.setattr(qlora, "find_spec", lambda name: None if name == "peft" else object())
    assert "model.qlora: peft is missing; wanted pip install" in plan(capsys, *settings, code=2)


def test_a_model_that_is_not_there_is_said(capsys):
    assert "there is no nowhere" in plan(capsys, "--model.model", "nowhere", code=1)


@pytest.mark.parametrize("kind", ["Qwen2", "Gemma"])
def test_tied_embeddings_are_refused_in_the_words_of_fit(capsys, tmp_path, kind):
    """A base that expand has not grown yet, as people plan for it, and what expand left of one."""
    import transformers

    sizes = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32, "num_hidden_layers": 2}
    made = getattr(transformers, f"{kind}Config")(vocab_size=100, tie_word_embeddings=True, head_dim=8, **sizes)
    made.save_pretrained(tmp_path)
    same = "stages 1, 2 and 3 would be one and the same, and so would 4 and 5"
    said = plan(capsys, "--model.model", str(tmp_path), "--schedule", "eeve", code=1).splitlines()[-1]
    assert said == (
        f"kovocab plan: stage 1 has input_rows new and output_rows none, and the embeddings of {tmp_path} are tied, "
        f"one matrix: {same}; wanted the same rows of both in 1, 2, 4 and 5, as in a `schedule` of eeve's stages 3, 6 "
        "and 7, or a base with two matrices: `kovocab expand --untie true`"
    )
    both = "[{input_rows: new, output_rows: new}, {input_rows: all, output_rows: all, layers: true}]"
    assert len(rows(capsys, "--model.model", str(tmp_path), "--schedule", both)) == 2
