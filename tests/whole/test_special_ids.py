"""A base's special ids through the whole street: what its files say comes out as it went in."""

import json
import shutil
from pathlib import Path

import pytest

from kovocab.building.promises import check_model
from kovocab.cli.main import main
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.base import corpus, texts
from support.street import TRAINS

if not TRAINS:
    pytest.skip("pip install kovocab[train]", allow_module_level=True)

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from support.models import tiny

FIT = """
model: {model: expanded}
data:
  sources: [{name: ko, corpus: ko.jsonl}]
  length: 32
  batch_size: 4
  validation_share: 0.1
trainer: {accelerator: cpu, devices: 1}
schedule: kosolar
defaults: {lr: 1e-3, steps: 2}
run: run
"""
VERBS = (
    "count --corpus ko.jsonl --tokenizer base --out words.parquet",
    "refine --words words.parquet --base base --out tokenizer --min_count 5 --min_syllable_count 5",
    "expand --model base --tokenizer tokenizer --out expanded",
    "fit --config fit.yaml",
    "export --stage run --out export",
)
CHAT = {"<|im_end|>": 32000, "<|im_start|>": 32001}
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def base(model_file, added, config, files=(), rows=None):
    """A base folder: a tokenizer.model, more tokens, a tiny model with a row for each."""
    rows = rows or 32000 + len(added)
    tiny(rows=rows, hidden_size=8, intermediate_size=8, num_hidden_layers=1).save_pretrained("base")
    shutil.copyfile(model_file, "base/tokenizer.model")
    folder = Path("base")
    content = json.loads((folder / "config.json").read_text()) | config
    for name, said in {"config.json": content, "added_tokens.json": added, **dict(files)}.items():
        (folder / name).write_text(json.dumps(said))


def street(here, *, until=5):
    """Walk the verbs; the exit codes."""
    torch.set_num_threads(1)
    corpus(here, "ko", texts(200))
    (here / "fit.yaml").write_text(FIT)
    return [main(verb.split()) for verb in VERBS[:until]]


def said(here, name, folder="export"):
    return json.loads((here / folder / name).read_text())


def test_the_pad_row_of_an_old_llama_stays_the_pads(here, base_model_file):
    files = {"special_tokens_map.json": NAMES | {"pad_token": "<pad>"}}
    base(base_model_file, {"<pad>": 32000}, {"pad_token_id": 32000}, files)
    assert street(here) == [0] * 5
    tokenizer, model = AutoTokenizer.from_pretrained("export"), AutoModelForCausalLM.from_pretrained("export")
    before = AutoModelForCausalLM.from_pretrained("base")
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<pad>", 32000)
    assert said(here, "kovocab.json")["first_new_id"] == 32001
    for way in ("get_input_embeddings", "get_output_embeddings"):
        row = getattr(AutoModelForCausalLM.from_pretrained("expanded"), way)().weight[32000]
        assert torch.equal(row, getattr(before, way)().weight[32000])
    batch = tokenizer(["나무", "나무 그늘 바다 바람"], padding=True, return_tensors="pt")
    assert (batch["input_ids"] == 32000).any()
    assert model(**batch).logits.isfinite().all()
    assert said(here, "config.json")["pad_token_id"] == said(here, "generation_config.json")["pad_token_id"] == 32000
    assert said(here, "added_tokens.json") == {"<pad>": 32000}
    assert said(here, "special_tokens_map.json") == files["special_tokens_map.json"]


def test_a_chat_model_whose_two_files_read_spaces_otherwise(here, base_model_file, capsys):
    files = {
        "generation_config.json": {
            "eos_token_id": [2, 32000],
            "temperature": 0.7,
            "do_sample": False,
            "pad_token_id": 0,
        },
        "tokenizer_config.json": NAMES
        | {
            "eos_token": "<|im_end|>",
            "additional_special_tokens": ["<|im_start|>"],
            "chat_template": "{{ messages[0]['content'] }}",
        },
    }
    base(base_model_file, CHAT, {"eos_token_id": [2, 32000], "suppress_tokens": [5], "image_token_id": 7}, files)
    tokenizer = AutoTokenizer.from_pretrained("base")
    (here / "base/tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str())
    assert street(here) == [0] * 5
    # A fault of the base, said by refine, and mended: what the export has agrees with its tokenizer.json.
    assert "tokenizer.model is made from the ranks of tokenizer.json: promise 5" in capsys.readouterr().out
    model = (here / "export/tokenizer.model").read_bytes()
    assert check_model(load_tokenizer(here / "export/tokenizer.json"), model, [" 나무", "나무  tree", "x"]) == 3
    opened = AutoTokenizer.from_pretrained("export")
    assert opened.convert_tokens_to_ids(list(CHAT)) == [32000, 32001]
    assert opened.eos_token_id == 32000
    assert opened.apply_chat_template([{"content": "나무"}], tokenize=False) == "나무"
    config, generation = said(here, "config.json"), said(here, "generation_config.json")
    assert (config["eos_token_id"], config["suppress_tokens"], config["image_token_id"]) == ([2, 32000], [5], 7)
    assert generation == {**files["generation_config.json"], "bos_token_id": 1}
    assert "32000" in said(here, "tokenizer_config.json")["added_tokens_decoder"]


def test_a_pad_token_id_of_none_passes_every_verb(here, base_model_file):
    base(base_model_file, {}, {"pad_token_id": -1})
    (here / "base/generation_config.json").unlink()
    assert street(here) == [0] * 5
    assert said(here, "config.json")["pad_token_id"] == -1
    assert said(here, "generation_config.json")["pad_token_id"] == 2


@pytest.mark.parametrize(
    ("config", "rows", "wanted"),
    [
        ({"pad_token_id": 32000}, 32001, "pad_token_id 32,000, and the base tokenizer has 32,000 tokens"),
        ({"eos_token_id": [2, 40000]}, 32000, "eos_token_id 40,000"),
    ],
)
def test_an_id_that_would_be_a_new_tokens_is_refused_before_the_work(
    here, base_model_file, capsys, config, rows, wanted
):
    base(base_model_file, {}, config, rows=rows)
    assert street(here, until=2) == [0, 1]
    assert wanted in capsys.readouterr().err
    assert not (here / "tokenizer").exists()
