"""A plain folder loads into two blocks as `from_pretrained` loads it, in one process; layers computed twice agree."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM

from kovocab.errors import ModelError
from kovocab.expanding.split_rows import fused_state_dict
from kovocab.model.causal_lm import CausalLM
from kovocab.model.loading import load_split
from support.models import SIZES, expanded, ids, tiny

torch.set_num_threads(1)


def assert_same(folder, loaded, **settings):
    """`loaded` has every bit that `from_pretrained` reads, of the parameters and of the buffers that no file holds."""
    plain = AutoModelForCausalLM.from_pretrained(folder, **settings)
    fused, wanted = fused_state_dict(loaded), plain.state_dict()
    assert fused.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert fused[name].dtype == tensor.dtype
        assert torch.equal(fused[name], tensor), name
    buffers = dict(plain.named_buffers())
    assert any("inv_freq" in name for name in buffers)
    for name, tensor in loaded.named_buffers():
        assert torch.equal(tensor, buffers.pop(name)), name
    assert buffers == {}
    assert loaded.config.to_dict() == plain.config.to_dict()
    assert loaded.generation_config.to_dict() == plain.generation_config.to_dict()
    assert all(part.training for part in loaded.modules())


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    ("written", "dtype"), [("float32", "auto"), ("bfloat16", "auto"), ("bfloat16", "float32"), ("float32", "bfloat16")]
)
def test_as_from_pretrained(tmp_path, architecture, tied, written, dtype):
    rope = {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0}}
    made = tiny(architecture, tie_word_embeddings=tied, dtype=getattr(torch, written), pad_token_id=3, **rope)
    made.generation_config.temperature = 0.5
    made.generation_config.do_sample = True
    made.save_pretrained(tmp_path, max_shard_size="20kB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = load_split(tmp_path, 90, dtype)
    assert (loaded.get_input_embeddings().input_new is loaded.get_output_embeddings().output_new) == tied
    assert_same(tmp_path, loaded, dtype=dtype)
    assert not nn.Linear(2, 2).weight.is_meta  # the constructor's hook is gone


def test_a_dtype_that_no_config_says_is_that_of_the_weights(tmp_path):
    tiny(dtype=torch.float16).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["dtype"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_split(tmp_path, 90).dtype == torch.float16


def test_a_mixture_whose_experts_transformers_merges_loads_too(tmp_path):
    MixtralForCausalLM(MixtralConfig(vocab_size=100, num_local_experts=2, **SIZES)).save_pretrained(tmp_path)
    assert_same(tmp_path, load_split(tmp_path, 90))
    with pytest.raises(ModelError, match=r"missing keys, the first .*experts"):
        load_split(tmp_path, 90, shard=lambda model: None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensors: tensors.pop("lm_head.weight"), "1 missing keys, the first lm_head.weight"),
        (lambda tensors: tensors.update(stray=torch.ones(1)), "1 unexpected keys, the first stray"),
        (lambda tensors: tensors.update({"lm_head.weight": torch.ones(101, 32)}), "1 mismatched keys, .*lm_head"),
        (lambda tensors: tensors.update({"lm_head.weight": torch.ones(100, 31)}), "1 mismatched keys, .*lm_head"),
        (lambda tensors: tensors.update({"model.norm.weight": torch.ones(31)}), "1 mismatched keys, .*model.norm"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, change, says):
    tiny().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    for settings in ({}, {"shard": lambda model: None}):
        with pytest.raises(ModelError, match=says):
            load_split(tmp_path, 90, **settings)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=f"the model {tmp_path} cannot be loaded: "):
        load_split(tmp_path, 90)


@pytest.mark.parametrize("architecture", ["llama", "phi"])
def test_checkpointed_layers_are_computed_twice_with_the_same_gradients(tmp_path, architecture):
    folder = expanded(tmp_path / "model", architecture, attention_dropout=0.1)
    gradients, calls = [], []
    for checkpointing in (False, True):
        module = CausalLM(str(folder), activation_checkpointing=checkpointing)
        module.configure_model()
        counted = []
        norm = module.loaded.base_model.layers[0].input_layernorm
        norm.register_forward_pre_hook(lambda *_, counted=counted: counted.append(torch.is_grad_enabled()))
        torch.manual_seed(1)
        module(ids(), ids()).backward()
        gradients.append({name: parameter.grad for name, parameter in module.named_parameters()})
        calls.append(counted)
    assert calls == [[True], [True, True]]
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
