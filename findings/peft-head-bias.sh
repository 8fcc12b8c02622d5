#!/usr/bin/env bash
# peft 0.21: with `trainable_token_indices` on an output layer that has a bias, the bias is not added until merged.
#
# Expected: a new adapter, nothing trained, leaves the model's logits as they were.
# Seen 2026-11-28, peft 0.21.2, transformers 5.23.0, torch 2.13.0, a tiny Phi (its lm_head has a bias): with two rows of
# lm_head to train, all logits change by the bias; after `merge_and_unload` they are the model's again. With the rows of
# embed_tokens, which has no bias, nothing changes. Nothing is printed.
# For an expanded vocabulary: the new rows would be trained against logits that the merged model does not give. Models with
# a bias there (Phi-1, Phi-2, GPT-J) want another way of training some rows.
#> peft 0.21.2, transformers 5.23.0, torch 2.13.0
#> rows of embed_tokens: logits unchanged, merged unchanged
#> rows of lm_head: logits without the bias, merged unchanged
. "$(dirname "$0")/lib.sh"
environment env torch==2.13.0 numpy==2.4.6 transformers==5.23.0 peft==0.21.2

cat > probe.py <<'PYTHON'
from importlib.metadata import version

import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import PhiConfig, PhiForCausalLM

names = ("peft", "transformers", "torch")
print(", ".join(f"{name} {version(name).partition('+')[0]}" for name in names))
config = PhiConfig(
    vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    tie_word_embeddings=False,
)
text = torch.arange(8)[None]


@torch.no_grad()
def compare(model, want, bias):
    logits = model.eval()(text).logits
    if torch.allclose(logits, want, atol=1e-5):
        return "unchanged"
    return "without the bias" if torch.allclose(logits, want - bias, atol=1e-5) else "something else"


for layer in ("embed_tokens", "lm_head"):
    torch.manual_seed(0)
    model = PhiForCausalLM(config).eval()
    bias = torch.nn.init.normal_(model.lm_head.bias).detach().clone()
    want = model(text).logits.detach()
    # The LoRA on q_proj starts as zero.
    lora = LoraConfig(
        trainable_token_indices={layer: [30, 31]}, target_modules=["q_proj"], task_type=TaskType.CAUSAL_LM
    )
    adapted = get_peft_model(model, lora)
    seen = compare(adapted, want, bias)
    print(f"rows of {layer}: logits {seen}, merged {compare(adapted.merge_and_unload(), want, bias)}")
PYTHON
env/bin/python -W ignore probe.py > seen
unchanged
