"""`kovocab plan`: the same files as fit, a table or JSON, what does not fit in words; and no weight is read."""

import json
from pathlib import Path

import pytest
import torch
from jsonargparse import Namespace
from transformers import LlamaConfig

from expanded import BASE_TOKENS, NEW_TOKENS
from kovocab import cli, forecast
from kovocab.artefact import read_record
from kovocab.errors import UsageError
from runs import fit, make_place

pytestmark = pytest.mark.usefixtures("in_place")
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


def test_layers_of_4_bits_are_not_planned():
    with pytest.raises(UsageError, match="does not know layers of 4 bits"):
        forecast._setup(Namespace(), Namespace(qlora={"rank": 64}), 1, None, torch.float32)


def test_a_model_that_is_not_there_is_said(capsys):
    assert "there is no nowhere" in plan(capsys, "--model.model", "nowhere", code=1)
