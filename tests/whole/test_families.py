"""From a base of each family to what is exported: all stages train, and what is frozen keeps every bit."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from kovocab.cli.main import main
from kovocab.record import read_record
from kovocab.stages import STAGES
from support.base import save_tokenizer
from support.models import tiny
from support.street import REFINE

torch.set_num_threads(1)

HEAD = {"head_dim": 8}
FAMILIES = {
    "mistral": {},
    "phi3": {},
    "llama, tied": {"tie_word_embeddings": True},
    "qwen3": HEAD,
    "gemma, tied": HEAD,
    "gemma2, tied": HEAD | {"final_logit_softcapping": 5.0},
    "gemma2, untied": HEAD | {"final_logit_softcapping": 5.0},
    "gemma3_text, untied": HEAD,
    "cohere, untied": {"logit_scale": 0.25},
    "granite": {"logits_scaling": 3.0, "embedding_multiplier": 12.0},
}
SAME_ROWS = "[{input_rows: new, output_rows: new}, {input_rows: all, output_rows: all, layers: true}, {layers: true}]"
OF_TIED = [STAGES["eeve"][number - 1] for number in (3, 6, 7)]
FIT = """
model: {{model: {here}/expanded}}
data: {{sources: [{{name: ko, corpus: {text}/ko.txt}}], length: 32, batch_size: 4, validation_share: 0.05,
  tokens_dir: {text}/tokens}}
trainer: {{accelerator: cpu, devices: 1, limit_val_batches: 1, gradient_clip_val: 1.0}}
schedule: {schedule}
defaults: {{lr: 3e-3, steps: 2, weight_decay: 0.1}}
run: {here}/run
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A base tokenizer, text, and what refine made of them; a base model is put into `base` by each test."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "base").mkdir()
    save_tokenizer(folder / "base")
    run("sample", "--out", folder / "ko.txt", "--megabytes", 0.2, "--language", "ko")
    run("count", "--corpus", folder / "ko.txt", "--tokenizer", folder / "base", "--out", folder / "words.parquet")
    run("refine", "--words", folder / "words.parquet", "--base", folder / "base", "--out", folder / "tokenizer",
        *REFINE.split())  # fmt: skip
    return folder


def run(*args):
    assert main([str(arg) for arg in args]) == 0


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def moved(before, after, first_new_id, embedding, head):
    """The blocks in which two stages' weights differ."""
    assert before.keys() == after.keys()
    found = set()
    for name, value in before.items():
        block = {embedding: "input", head: "output"}.get(name)
        for part, rows in (("old", slice(first_new_id)), ("new", slice(first_new_id, None))):
            if not torch.equal(value[rows], after[name][rows]):
                found.add(f"{block}_{part}" if block else "layers")
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_from_a_base_to_what_is_exported(family, text, tmp_path):
    kind, _, tie = family.partition(", ")
    tokens = json.loads((text / "base/tokenizer.json").read_text())["model"]["vocab"]
    base = tiny(kind, rows=len(tokens), **FAMILIES[family])
    base.save_pretrained(tmp_path / "base")
    tied = tie == "tied"
    run("expand", "--model", tmp_path / "base", "--tokenizer", text / "tokenizer", "--out", tmp_path / "expanded",
        *(["--untie"] if tie == "untied" else []))  # fmt: skip
    record = read_record(tmp_path / "expanded")
    assert (record["tied"], record["untied"]) == (tied, tie == "untied")
    schedule, stages = (SAME_ROWS, OF_TIED) if tied else ("eeve", STAGES["eeve"])
    (tmp_path / "fit.yaml").write_text(FIT.format(here=tmp_path, text=text, schedule=schedule))
    run("plan", "--config", tmp_path / "fit.yaml")
    run("fit", "--config", tmp_path / "fit.yaml")
    run("export", "--run", tmp_path / "run", "--out", tmp_path / "export")

    embedding, head = "model.embed_tokens.weight", "lm_head.weight"
    folders = [tmp_path / "expanded", *(tmp_path / "run/stages" / str(n + 1) for n in range(len(stages)))]
    found = [weights(folder) for folder in folders]
    assert torch.equal(found[0][embedding][: len(tokens)], weights(tmp_path / "base")[embedding])
    assert (head in found[0]) is not tied
    for stage, before, after in zip(stages, found, found[1:], strict=False):
        wanted = {block for block in stage.blocks if not tied or not block.startswith("output")}
        assert moved(before, after, len(tokens), embedding, head) == wanted
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "export")
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) is tied
    sentence = (text / "ko.txt").read_text().partition("\n")[0]
    ids = AutoTokenizer.from_pretrained(tmp_path / "export")(sentence, return_tensors="pt")["input_ids"]
    assert ids.max() >= len(tokens)
    assert model(input_ids=ids).logits.isfinite().all()
    last = read_record(folders[-1])
    assert last["loss"]["val"] < [*last["earlier"], last][0]["loss"]["val_before"]


def test_a_tokenizer_that_others_would_read_otherwise_is_refused_before_it_is_trained(text, tmp_path, capsys):
    """Beside a config.json of Qwen2's kind transformers 5 makes Qwen2's tokenizer of what is none."""
    tokens = json.loads((text / "base/tokenizer.json").read_text())["model"]["vocab"]
    tiny("qwen2", rows=len(tokens)).save_pretrained(tmp_path / "base")
    out = tmp_path / "expanded"
    assert main(["expand", "--model", f"{tmp_path}/base", "--tokenizer", f"{text}/tokenizer", "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert f"and {text}/tokenizer/tokenizer.json [1, " in said
    assert "it opens that as a Qwen2Tokenizer" in said
    assert not out.exists()
