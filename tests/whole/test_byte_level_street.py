"""From words to what is exported on real byte-level tokenizers: phi-2 with exactly its counts, and a tied Qwen2."""

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kovocab.cli.main import main
from kovocab.record import read_record
from kovocab.stages import STAGES
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.models import phi2, tiny
from support.reference import as_library

torch.set_num_threads(1)
pytestmark = pytest.mark.slow

SAME_ROWS = "[{input_rows: new, output_rows: new}, {input_rows: all, output_rows: all, layers: true}, {layers: true}]"
FIT = """
model: {{model: {here}/expanded}}
data: {{sources: [{{name: ko, corpus: {here}/ko.parquet}}], length: 64, batch_size: 4, validation_share: 0.05,
  tokens_dir: {here}/tokens}}
trainer: {{accelerator: cpu, devices: 1, limit_val_batches: 1, gradient_clip_val: 1.0}}
schedule: {schedule}
defaults: {{lr: 3e-3, steps: 2, weight_decay: 0.1}}
run: {here}/run
"""
EMBEDDING, HEAD, BIAS = "model.embed_tokens.weight", "lm_head.weight", "lm_head.bias"


def run(*args):
    assert main([str(arg) for arg in args]) == 0


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def walk(here, tokenizer, model, text, most, schedule, *args):
    """Every verb, from a base's files and text to the folder for the hub."""
    base = here / "base"
    base.mkdir()
    (base / "tokenizer.json").write_text(tokenizer.pretty())
    (base / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    model.save_pretrained(base)
    text.head(2000).to_frame("text").write_parquet(here / "ko.parquet")
    run("count", "--corpus", here / "ko.parquet", "--tokenizer", base, "--out", here / "words.parquet")
    run("refine", "--words", here / "words.parquet", "--base", base, "--out", here / "tokenizer", "--min_count", 20,
        "--min_syllable_count", 20, "--max_new_tokens", most)  # fmt: skip
    run("expand", "--model", base, "--tokenizer", here / "tokenizer", "--out", here / "expanded", *args)
    (here / "fit.yaml").write_text(FIT.format(here=here, schedule=schedule))
    run("fit", "--config", here / "fit.yaml")
    run("export", "--run", here / "run", "--out", here / "export")


def moved(before, after, first_new_id):
    """The blocks in which two folders' weights differ, of both matrices, of the bias, and of the layers."""
    found = set()
    for name, value in before.items():
        block = {EMBEDDING: "input", HEAD: "output", BIAS: "bias"}.get(name)
        for part, rows in (("old", slice(first_new_id)), ("new", slice(first_new_id, None))):
            if not torch.equal(value[rows], after[name][rows]):
                found.add(f"{block}_{part}" if block else "norm biases" if name.endswith("norm.bias") else "layers")
    return found


def check_export(here, base, text, share):
    """The export is opened as anybody would: base ids as before, Korean in fewer tokens, a number for each."""
    opened, model = (kind.from_pretrained(here / "export") for kind in (AutoTokenizer, AutoModelForCausalLM))
    target = Reference(load_tokenizer(here / "tokenizer"))
    english = ["The old    trees,\t\tand  what they said.", "def f(x):\n        return x  # 3.14\n"]
    for given, wanted in zip(english, as_library(base).encode(english), strict=True):
        assert opened(given)["input_ids"] == target.encode([given])[0] == wanted
    korean = text.slice(2000, 100).to_list()
    after, before = target.encode(korean), as_library(base).encode(korean)
    assert [opened(given)["input_ids"] for given in korean] == after
    assert sum(map(len, after)) < share * sum(map(len, before))
    ids = torch.tensor([max(after, key=max)[:64]])
    assert max(map(max, after)) >= base.size
    assert model(input_ids=ids).logits.isfinite().all()


def test_phi_2(byte_level, ko_small, tmp_path):
    """50,295 tokens in 51,200 rows with a bias each: 900 new tokens find room, and nothing grows."""
    base, tokens, rows, most = byte_level("phi2"), 50_295, 51_200, 900
    assert base.size == tokens
    walk(tmp_path, base, phi2(), ko_small, most, "eeve")
    record = read_record(tmp_path / "expanded")
    assert (record["first_new_id"], record["new_tokens"], record["vocab_size"]) == (tokens, most, rows)
    was, now = weights(tmp_path / "base"), weights(tmp_path / "expanded")
    pieces = pl.read_parquet(tmp_path / "expanded/base_pieces.parquet").sort("id")["base_pieces"].to_list()
    first = [ids[0] for ids in pieces]
    for name, new in ((EMBEDDING, None), (HEAD, first), (BIAS, first)):
        assert was[name].shape == now[name].shape
        assert torch.equal(was[name][:tokens], now[name][:tokens])
        assert torch.equal(was[name][tokens + most :], now[name][tokens + most :])  # padding that nobody took
        if new is not None:
            assert torch.equal(now[name][tokens : tokens + most], was[name][new])
    folders = [tmp_path / "expanded", *(tmp_path / "run/stages" / str(number) for number in range(1, 8))]
    found = [weights(folder) for folder in folders]
    for stage, before, after in zip(STAGES["eeve"], found, found[1:], strict=False):
        wanted = set(stage.blocks) | {block.replace("output", "bias") for block in stage.blocks if "output" in block}
        assert moved(before, after, tokens) == wanted | ({"norm biases"} if stage.layers else set())
    check_export(tmp_path, base, ko_small, 0.6)


def test_a_tied_qwen2(byte_level, ko_small, tmp_path):
    """151,646 tokens in 151,936 rows of one matrix: it grows, stays one, and three stages train it."""
    base, tokens, rows = byte_level("qwen2"), 151_646, 151_936
    assert base.size == tokens
    end = base.ids["<|endoftext|>"]
    settings = {"tie_word_embeddings": True, "hidden_size": 16, "bos_token_id": end, "eos_token_id": end}
    walk(tmp_path, base, tiny("qwen2", rows, **settings), ko_small, 500, SAME_ROWS)
    record = read_record(tmp_path / "expanded")
    assert (record["tied"], record["new_tokens"], record["vocab_size"]) == (True, 500, tokens + 500)
    folders = [tmp_path / "expanded", *(tmp_path / "run/stages" / str(number) for number in (1, 2, 3))]
    found = [weights(folder) for folder in folders]
    assert not any(HEAD in weights for weights in found)
    both = {"input_old", "input_new", "layers"}
    for wanted, before, after in zip(({"input_new"}, both, {"layers"}), found, found[1:], strict=False):
        assert moved(before, after, tokens) == wanted
    check_export(tmp_path, base, ko_small, 0.95)  # it knows Korean
