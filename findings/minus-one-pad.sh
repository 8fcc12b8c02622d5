#!/usr/bin/env bash
# transformers and torch: `pad_token_id: -1`, by which old Llama configurations say "none", is the last row.
#
# Expected: -1 is no token, so every row of the embeddings trains.
# Seen 2026-11-28, torch 2.13.0 and transformers 5.23.0: torch counts a negative `padding_idx` from the end. The last row is
# set to zeros when the model is made and never gets a gradient, in silence. A model that is grown keeps the number of the
# old last row; saved and opened again it is the new last row that stands still: the last token that was added.
# For an expanded vocabulary: take -1 for none before the model is trained, in the module too, not in the file alone.
#> torch 2.13.0 transformers 5.23.0
#> pad_token_id None: last row is zeros: False
#>   made: padding_idx None, fed [1, 3, 4, 5], trains [1, 3, 4, 5]
#>   grown: padding_idx None, fed [1, 3, 5, 6, 7], trains [1, 3, 5, 6, 7]
#>   opened again: padding_idx None, fed [1, 3, 5, 6, 7], trains [1, 3, 5, 6, 7]
#> pad_token_id -1: last row is zeros: True
#>   made: padding_idx 5, fed [1, 3, 4, 5], trains [1, 3, 4]
#>   grown: padding_idx 5, fed [1, 3, 5, 6, 7], trains [1, 3, 6, 7]
#>   opened again: padding_idx 7, fed [1, 3, 5, 6, 7], trains [1, 3, 5, 6]
. "$(dirname "$0")/lib.sh"
environment here torch==2.13.0 transformers==5.23.0

cat > probe.py <<'PYTHON'
import torch
from transformers import LlamaConfig, LlamaForCausalLM, __version__
from transformers.utils import logging

logging.disable_progress_bar()

print("torch", torch.__version__.split("+")[0], "transformers", __version__)
small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 6}


def trained(model, ids):
    model.zero_grad()
    model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss.backward()
    rows = model.get_input_embeddings()
    moving = [row for row, norm in enumerate(rows.weight.grad.norm(dim=1).tolist()) if norm]
    return f"padding_idx {rows.padding_idx}, fed {sorted(set(ids))}, trains {moving}"


for pad in (None, -1):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(pad_token_id=pad, **small))
    print(f"pad_token_id {pad}: last row is zeros: {not model.get_input_embeddings().weight[-1].any()}")
    print("  made:", trained(model, [1, 5, 4, 5, 3, 1]))
    model.resize_token_embeddings(8, mean_resizing=False)
    print("  grown:", trained(model, [1, 5, 6, 7, 3, 1]))
    model.save_pretrained("grown")
    print("  opened again:", trained(LlamaForCausalLM.from_pretrained("grown"), [1, 5, 6, 7, 3, 1]))
PYTHON
here/bin/python probe.py > seen
unchanged
