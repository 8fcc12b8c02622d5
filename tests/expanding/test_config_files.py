"""config.json and generation_config.json: both spellings, the base's special ids as they went in."""

import json

import pytest
import torch
from transformers import AutoConfig, Gemma3TextConfig, GPTNeoXConfig, LlamaConfig, Phi3Config, PhiConfig

from kovocab.errors import ModelError
from kovocab.expanding.config_files import check_special_ids, finish, reader_needed, save_model
from kovocab.expanding.expand import load_plain
from kovocab.expanding.split_rows import SplitEmbedding, save_plain, split_rows
from support.models import ROWS, tiny

THETA = {"rope_theta": 1e6}
SMALL = {"hidden_size": 32, "num_attention_heads": 4, "dtype": torch.bfloat16}
LONG = {"long_factor": [2.0] * 4, "short_factor": [1.0] * 4}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def written(config, folder):
    """What a saved and finished config.json holds."""
    config.save_pretrained(folder)
    finish(folder, None)
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize(
    ("config", "older"),
    [
        (LlamaConfig(rope_parameters={"rope_type": "default"} | THETA), {"rope_theta": 1e6, "rope_scaling": None}),
        (
            LlamaConfig(rope_parameters={"rope_type": "linear", "factor": 2.0} | THETA),
            {"rope_theta": 1e6, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        ),
        (
            LlamaConfig(rope_parameters={"rope_type": "llama3"} | LLAMA3 | THETA),
            {"rope_theta": 1e6, "rope_scaling": {"rope_type": "llama3"} | LLAMA3},
        ),
        (
            PhiConfig(**SMALL, rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.4} | THETA),
            {"rope_theta": 1e6, "partial_rotary_factor": 0.4, "rope_scaling": None},
        ),
        (
            LlamaConfig(
                **SMALL,
                rope_parameters={"rope_type": "longrope", "original_max_position_embeddings": 64} | LONG | THETA,
            ),
            {
                "rope_theta": 1e6,
                "rope_scaling": {"rope_type": "longrope", "original_max_position_embeddings": 64} | LONG,
                "original_max_position_embeddings": 64,
            },
        ),
        (
            Phi3Config(
                **SMALL,
                original_max_position_embeddings=64,
                pad_token_id=None,
                rope_parameters={"rope_type": "longrope"} | LONG | THETA,
            ),
            {"rope_theta": 1e6, "rope_scaling": {"type": "longrope"} | LONG, "original_max_position_embeddings": 64},
        ),
        (
            GPTNeoXConfig(rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.5} | THETA),
            {"rotary_emb_base": 1e6, "rotary_pct": 0.5},
        ),
    ],
    ids=["default", "linear", "llama3", "phi", "longrope", "phi3", "gpt_neox"],
)
def test_both_spellings_are_written_and_transformers_5_reads_what_it_wrote(config, older, tmp_path):
    said = written(config, tmp_path)
    assert {key: said.get(key) for key in older} == older
    assert said.get("torch_dtype") == said.get("dtype")
    again = AutoConfig.from_pretrained(tmp_path)
    assert {**again.rope_parameters, "type": 0} == {**config.rope_parameters, "type": 0}
    assert again.dtype == config.dtype
    assert reader_needed(said) is None
    assert written(again, tmp_path) == said | {"rope_parameters": again.rope_parameters}


def test_what_only_transformers_5_reads_is_said(tmp_path):
    said = written(Gemma3TextConfig(pad_token_id=None), tmp_path)
    assert "rope_scaling" not in said
    assert reader_needed(said) == "transformers 5 or later (rope_parameters by kind of layer)"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", {"pad_token_id": 90}, "config.json of .* says pad_token_id 90, and the base tokenizer has 90"),
        ("config.json", {"eos_token_id": [2, 99]}, "eos_token_id 99"),
        ("config.json", {"text_config": {"image_token_id": 91}}, "image_token_id 91"),
        ("generation_config.json", {"eos_token_id": 200}, "generation_config.json of .* says eos_token_id 200"),
        ("generation_config.json", {"suppress_tokens": [1, 95]}, "suppress_tokens 95"),
        ("generation_config.json", {"forced_decoder_ids": [[1, 90]]}, "forced_decoder_ids 90"),
        ("generation_config.json", {"bad_words_ids": [[1], [2, 93]]}, "bad_words_ids 93"),
    ],
)
def test_a_special_id_that_a_new_token_would_take_is_refused(name, content, said, tmp_path):
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=said):
        check_special_ids(str(tmp_path), 90)
    check_special_ids(str(tmp_path), 201)


@pytest.mark.parametrize("value", ["</s>", [2, "3"], 2.5, True])
def test_a_special_id_that_is_no_number_is_refused(value, tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": value}))
    with pytest.raises(ModelError, match=r"says eos_token_id .*, which is no id; wanted a whole number"):
        check_special_ids(str(tmp_path), 90)


@pytest.mark.parametrize("content", [{"pad_token_id": -1}, {"pad_token_id": None}, {"forced_decoder_ids": [[99, 2]]}])
def test_what_is_no_id_is_not_refused(content, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(content))
    check_special_ids(str(tmp_path), 90)


def test_special_ids_and_generation_come_out_as_they_went_in(tmp_path):
    base, out = tmp_path / "base", tmp_path / "out"
    tiny().save_pretrained(base)
    special = {
        "pad_token_id": -1, "eos_token_id": [2, 3], "sep_token_id": 4, "decoder_start_token_id": 5,
        "image_token_id": 6, "suppress_tokens": [7], "forced_eos_token_id": 2,
    }  # fmt: skip
    config = json.loads((base / "config.json").read_text()) | special
    (base / "config.json").write_text(json.dumps(config))
    generation = '{"temperature": 0.7, "do_sample": false, "eos_token_id": [3, 2], "mine": "kept"}'
    (base / "generation_config.json").write_text(generation)
    save_model(load_plain(str(base)), out, str(base))
    said = json.loads((out / "config.json").read_text())
    assert {key: said[key] for key in special} == special
    assert (out / "generation_config.json").read_text() == generation
    save_plain(split_rows(load_plain(str(out)), 90), tmp_path / "stage", source=out)
    assert json.loads((tmp_path / "stage/config.json").read_text()) == said
    assert (tmp_path / "stage/generation_config.json").read_text() == generation


@pytest.mark.parametrize(("pad", "index"), [(-1, None), (None, None), (3, 3)])
def test_no_pad_token_holds_no_row_back(pad, index):
    model = split_rows(tiny(pad_token_id=pad), 90)
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, SplitEmbedding)
    assert embedding.padding_idx == index
    embedding(torch.tensor([[3, ROWS - 1]])).sum().backward()
    assert embedding.input_new.grad is not None
    assert embedding.input_new.grad[-1].any()
