"""The loss and its gradients are the plain model's own, in each family: logits scaled or capped, tied and not."""

import pytest
import torch

from kovocab.errors import ModelError
from kovocab.expanding.logits import PLAIN, LogitForm
from kovocab.model.causal_lm import CausalLM
from kovocab.record import write_record
from support import records
from support.models import ROWS, ids, tiny

torch.set_num_threads(1)

MAMBA = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8}
LOW_RANK = {"qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "q_lora_rank": 16, "kv_lora_rank": 16}
FAMILIES = {
    # What needs no word is as a Llama's.
    "llama": ({}, PLAIN),
    "llama, tied": ({"tie_word_embeddings": True}, PLAIN),
    "mistral": ({}, PLAIN),
    "phi": ({}, PLAIN),
    "phi, tied": ({"tie_word_embeddings": True}, PLAIN),
    "phi3": ({}, PLAIN),
    "qwen2": ({}, PLAIN),
    "qwen2, tied": ({"tie_word_embeddings": True}, PLAIN),
    "qwen3": ({"head_dim": 8}, PLAIN),
    "olmo2": ({}, PLAIN),
    "gpt_neox": ({}, PLAIN),
    "gpt2": ({}, PLAIN),
    "mixtral": ({}, PLAIN),
    "biogpt": ({}, PLAIN),  # its embeddings are scaled by a number, Gemma's by a tensor, which rounds
    # Scaled embeddings, tied.
    "gemma": ({"head_dim": 8}, PLAIN),
    "gemma3_text": ({"head_dim": 8}, PLAIN),
    # Capped.
    "gemma2": ({"head_dim": 8, "final_logit_softcapping": 5.0}, LogitForm(cap=5.0)),
    "gemma2, untied": (
        {"head_dim": 8, "final_logit_softcapping": 5.0, "tie_word_embeddings": False},
        LogitForm(cap=5.0),
    ),
    "vaultgemma": ({"head_dim": 8, "final_logit_softcapping": 5.0}, LogitForm(cap=5.0)),
    "gemma4_text": (
        {
            "hidden_size_per_layer_input": 0,
            "final_logit_softcapping": 5.0,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        LogitForm(cap=5.0),
    ),
    "nanochat": ({"final_logit_softcapping": 5.0}, LogitForm(cap=5.0)),
    "recurrent_gemma": (
        {"lru_width": 32, "attention_window_size": 8, "head_dim": 8, "block_types": ["recurrent", "attention"]},
        LogitForm(cap=30.0),
    ),
    "beam": ({"final_logit_softcapping": 5.0}, LogitForm(cap=5.0, cap_in_fp32=True)),
    # Scaled.
    "cohere": ({"logit_scale": 0.3}, LogitForm(factor=0.3)),
    "cohere2, untied": ({"logit_scale": 0.3, "tie_word_embeddings": False}, LogitForm(factor=0.3)),
    "falcon_h1": (
        {"lm_head_multiplier": 0.3, "embedding_multiplier": 5.0, **MAMBA},
        LogitForm(factor=0.3),
    ),
    "hyperclovax": ({"logits_scaling": 0.3, "embedding_multiplier": 10.0}, LogitForm(factor=0.3)),
    "granite": ({"logits_scaling": 3.0, "embedding_multiplier": 12.0}, LogitForm(divisor=3.0)),
    "granite_swa": ({"logits_scaling": 3.0}, LogitForm(divisor=3.0)),
    "granitemoe": ({"logits_scaling": 3.0, "num_local_experts": 2, "num_experts_per_tok": 1}, LogitForm(divisor=3.0)),
    "minicpm3": ({"dim_model_base": 8, "num_key_value_heads": 4, **LOW_RANK}, LogitForm(states_divisor=4.0)),
}


def made(family, folder, dtype, **more):
    """A plain model whose logits are large enough to be capped, and the module that was loaded from its folder."""
    settings, _ = FAMILIES.get(family, ({}, PLAIN))
    plain = tiny(family.partition(",")[0], dtype=dtype, **settings | more)
    with torch.no_grad():
        plain.get_output_embeddings().weight.mul_(20)
    plain.save_pretrained(folder)
    write_record(folder, records.expanded(90, ROWS))
    module = CausalLM(str(folder))
    module.configure_model()
    return plain, module.eval()  # no dropout


def gradients(embedding, head):
    """Of both embeddings, whole, and of the head's bias."""
    if hasattr(embedding, "input_old"):
        parts = [(embedding.input_old, embedding.input_new), (head.output_old, head.output_new)]
        parts += [(head.output_old_bias, head.output_new_bias)] if head.output_old_bias is not None else []
        return [torch.cat([old.grad, new.grad]).float() for old, new in parts]
    return [part.grad.float() for part in (embedding.weight, head.weight, head.bias) if part is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_the_plain_model_s(family, dtype, tmp_path):
    plain, module = made(family, tmp_path, dtype)
    assert module._form == FAMILIES[family][1]
    batch = ids()
    labels = batch.masked_fill(ids(2).bool(), -100)
    output = plain(input_ids=batch, labels=labels)
    if module._form.cap is not None:  # so that it bends them
        assert output.logits.abs().max() > 0.6 * module._form.cap
    loss = module(batch, labels)
    torch.testing.assert_close(loss, output.loss.float(), atol=1e-6, rtol=1e-5)
    shown = module.predict_step({"input_ids": batch}, 0)["loss"].mean()
    torch.testing.assert_close(shown, plain(input_ids=batch, labels=batch).loss.float(), atol=1e-5, rtol=1e-5)
    loss.backward()
    output.loss.backward()
    ours = gradients(module.loaded.get_input_embeddings(), module.loaded.get_output_embeddings())
    wanted = gradients(plain.get_input_embeddings(), plain.get_output_embeddings())
    within = 1e-5 if dtype == torch.float32 else 2e-2  # of bf16, the plain model's own rounding
    for own, other in zip(ours, wanted, strict=True):
        assert (own - other).norm() <= within * other.norm()
    layers = [name for name, p in plain.named_parameters() if ".1." in name and p.grad is not None]
    own, other = (  # all together: that of a key's bias is nothing but rounding
        torch.cat([model.get_parameter(name).grad.float().flatten() for name in layers])
        for model in (module.loaded, plain)
    )
    assert (own - other).norm() <= 2 * within * other.norm()


def test_the_gradient_of_a_cap_is_not_left_out(tmp_path):
    """So the check above can fail: with the cap's slope left at 1 the gradients are others."""
    plain, module = made("gemma2", tmp_path, torch.float32)
    slopes = module._form.slopes(plain(ids()).logits)
    assert slopes.min() < 0.6
    assert slopes.max() <= 1


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("mixtral", {"output_router_logits": True}, r"the loss of MixtralForCausalLM is .*output_router_logits false"),
        ("mamba", {}, "MambaForCausalLM reaches into its embeddings, which are in two blocks"),
        ("gemma4_text", {"hidden_size_per_layer_input": 8}, "Gemma4ForCausalLM has a second table by token"),
        # What is done with the number is not what is known of its name.
        ("hyperclovax", {"logits_scaling": 3.0, "model_type": "granite"}, "logits of HyperCLOVAXForCausalLM are not"),
    ],
)
def test_what_cannot_be_reproduced_is_refused_by_name(family, settings, message, tmp_path, monkeypatch):
    if settings.pop("model_type", None):
        monkeypatch.setattr("kovocab.expanding.logits._MULTIPLY", ())
    with pytest.raises(ModelError, match=message):
        made(family, tmp_path, torch.float32, **settings)
