"""Two blocks of rows that give what one matrix gives, bit by bit."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from kovocab.errors import ModelError
from kovocab.expanding.split_rows import SplitEmbedding, block_of, fused_state_dict, is_tied, save_plain, split_rows
from support.models import ids, tiny

torch.set_num_threads(1)
MODELS = [(a, d, t) for a in ("llama", "phi") for d in (torch.float32, torch.bfloat16) for t in (False, True)]
every_model = pytest.mark.parametrize(("architecture", "dtype", "tied"), MODELS)


@every_model
def test_a_split_model_is_the_plain_model(architecture, dtype, tied, tmp_path):
    model = tiny(architecture, 128, dtype, tie_word_embeddings=tied)
    prompt = ids(128)
    logits = model(prompt).logits
    text = model.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0)
    plain = {name: value.clone() for name, value in model.state_dict().items()}

    split_rows(model, 96)
    assert torch.equal(model(prompt).logits, logits)
    assert torch.equal(model.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0), text)
    fused = fused_state_dict(model)
    assert fused.keys() == plain.keys()
    assert all(torch.equal(fused[name], plain[name]) for name in plain)
    bias = architecture == "phi"
    blocks = {block_of(name) for name, _ in model.named_parameters()}
    assert blocks == {"input_old", "input_new", "layers"} | (
        set() if tied and not bias else {"output_old", "output_new"}
    )

    save_plain(model, tmp_path)
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert again.dtype == dtype
    assert is_tied(again) == tied
    assert torch.equal(again(prompt).logits, logits)


def test_a_cut_inside_a_tile_costs_one_rounding():
    for architecture in ("llama", "phi"):
        model = tiny(architecture, 100)
        logits = model(ids()).logits
        torch.testing.assert_close(split_rows(model, 90)(ids()).logits, logits, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("padding_idx", [None, 0, 89, 90, 95])
def test_gradients_of_a_split_embedding(padding_idx):
    plain = torch.nn.Embedding(100, 8, padding_idx=padding_idx)
    weight = plain.weight.detach()
    split = SplitEmbedding(weight[:90].clone(), weight[90:].clone(), padding_idx)
    index = torch.cat([ids(100, (200,)), torch.tensor([0, 89, 90, 95, 99])])
    assert torch.equal(split(index), plain(index))
    for module in (split, plain):
        (module(index) * torch.arange(8)).sum().backward()
    assert torch.equal(torch.cat([split.input_old.grad, split.input_new.grad]), plain.weight.grad)
    for bad in (100, -1):
        with pytest.raises(IndexError):
            split(torch.tensor([bad]))


def test_no_gradient_for_a_frozen_block_and_always_one_for_a_trained_one():
    model = split_rows(tiny(), 90).requires_grad_(False)
    model.get_input_embeddings().input_new.requires_grad_()
    model(ids(90)).logits.sum().backward()  # a batch without new tokens
    with_gradient = [name for name, p in model.named_parameters() if p.grad is not None]
    assert with_gradient == ["model.embed_tokens.input_new"]
    assert not model.get_input_embeddings().input_new.grad.any()


def test_what_cannot_be_split():
    for first in (0, 100, 101):
        with pytest.raises(ModelError, match="wanted at least one old and one new row"):
            split_rows(tiny(), first)
    with pytest.raises(ModelError, match="are a SplitEmbedding"):
        split_rows(split_rows(tiny(), 90), 80)
