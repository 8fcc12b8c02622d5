"""An exported folder opened by the readers that people have: transformers 4, in an environment of its own."""

import json
import os
import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest

if not os.environ.get("KOVOCAB_SERVED"):
    pytest.skip("make test-served", allow_module_level=True)

import torch

from kovocab.building.saving import save_tokenizer
from kovocab.building.target import build_target
from kovocab.exporting.export import export
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.runs import fit, make_place
from support.served import read
from support.vocabularies import vocabulary

CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
defaults: {lr: 1e-2, steps: 2}
schedule: [{input_rows: new, output_rows: all}]
"""
THETA = {"rope_type": "default", "rope_theta": 1e6}
LONG = {"long_factor": [2.0, 3.0, 4.0, 5.0], "short_factor": [1.0, 1.1, 1.2, 1.3]}
MODELS = {
    "llama": {"rope_parameters": THETA, "pad_token_id": -1},
    "phi": {"architecture": "phi", "rope_parameters": {**THETA, "partial_rotary_factor": 0.5}},
    "linear": {"rope_parameters": {**THETA, "rope_type": "linear", "factor": 2.0}},
    "dynamic": {"rope_parameters": {**THETA, "rope_type": "dynamic", "factor": 2.0}},
    "yarn": {"rope_parameters": {**THETA, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}},
    "llama3": {
        "rope_parameters": {
            **THETA, "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        }
    },
    "longrope": {
        "rope_parameters": {**THETA, "rope_type": "longrope", **LONG, "original_max_position_embeddings": 32}
    },
}  # fmt: skip
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TOKENIZERS = {
    "old": {"added_tokens.json": {"<pad>": 32000}, "special_tokens_map.json": NAMES | {"pad_token": "<pad>"}},
    "chat": {
        "added_tokens.json": {"<pad>": 32001, "<|end|>": 32000},
        "tokenizer_config.json": NAMES | {"extra_special_tokens": ["<|end|>", "<pad>"]},
    },
}
ROWS = vocabulary(("ㅋ", None, None), ("ㅋㅋ", "ㅋ", "ㅋ"))
TEXTS = [
    "나무 그늘 바다 바람",
    "old trees, new words 3.14",
    "하늘 구름 " * 5,
    "섞인 mixed </s> ㅋㅋ<pad>x<|end|>\n 漢字 🙂",
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, base_model_file):
    """A folder of exports, and what transformers 4 made of each."""
    hub = tmp_path_factory.mktemp("hub")
    for name, settings in MODELS.items():
        place = make_place(tmp_path_factory.mktemp(name), CONFIG, **settings)
        with chdir(place):
            fit("run")
        export(place / "run", hub / name)
    for name, files in TOKENIZERS.items():
        base = tmp_path_factory.mktemp("base")
        shutil.copyfile(base_model_file, base / "tokenizer.model")
        for file, content in files.items():
            (base / file).write_text(json.dumps(content))
        save_tokenizer(build_target(load_tokenizer(base), ROWS), hub / name, base_source=base, vocabulary=ROWS)
    (hub / "texts.json").write_text(json.dumps(TEXTS))
    script = Path(__file__).parents[1] / "support" / "served.py"
    command = [
        os.environ["KOVOCAB_SERVED"],
        script,
        hub / "texts.json",
        *(hub / name for name in (*MODELS, *TOKENIZERS)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4.")
    return hub


@pytest.mark.parametrize("name", MODELS)
def test_transformers_4_gives_the_same_ids_and_logits(exported, name):
    theirs = torch.load(exported / f"{name}.served")
    for text, (ids, logits), (other_ids, other) in zip(TEXTS, read(exported / name, TEXTS), theirs, strict=True):
        assert ids == other_ids, text
        assert torch.equal(logits, other), f"{text}: {(logits - other).abs().max()}"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_transformers_4_gives_the_ids_of_tokens_that_a_base_added(exported, name):
    target = Reference(load_tokenizer(exported / name))
    theirs = torch.load(exported / f"{name}.served")
    assert [ids for ids, _ in theirs] == target.encode(TEXTS, template=True)
    assert max(i for ids, _ in theirs for i in ids) >= 32000


def test_another_rope_theta_would_be_seen(exported, tmp_path):
    folder = tmp_path / "other"
    folder.symlink_to(exported / "llama")
    before = read(folder, TEXTS)[0][1]
    folder.unlink()
    folder.mkdir()
    for file in (exported / "llama").iterdir():
        (folder / file.name).symlink_to(file)
    config = json.loads((folder / "config.json").read_text())
    config |= {"rope_theta": 1e4, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    assert not torch.equal(read(folder, TEXTS)[0][1], before)
