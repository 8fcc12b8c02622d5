"""A base, what was expanded of it, and an instruct sibling with a chat template: what `transfer` reads."""

import json
import shutil

import torch
from transformers import AutoModelForCausalLM

from kovocab.cli.main import main

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN_TEMPLATE = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
CHAT = ("<|im_start|>", "<|im_end|>")


def nudge(folder, seed=1, size=0.01, exact=False):
    """Move every weight of a model a little, in place; `exact` keeps all on a grid on which sums are exact."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            change = torch.randn(parameter.shape, generator=generator) * size
            parameter.add_(change.to(parameter.dtype))
            if exact:
                parameter.copy_(on_grid(parameter))
    model.save_pretrained(folder)


def on_grid(tensor):
    """The nearest multiples of 1/256."""
    return (tensor.float() * 256).round().div(256).to(tensor.dtype)


def make_instruct(base, folder, *, chat_tokens=(), rows=None, template=PLAIN_TEMPLATE, **how):
    """A sibling of the model in `base`: weights moved, chat tokens added, a template, an eos list."""
    shutil.copytree(base, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    taken = {token["id"] for token in tokenizer["added_tokens"]} | set(tokenizer["model"]["vocab"].values())
    first = max(taken) + 1
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    for i, token in enumerate(chat_tokens, start=first):
        tokenizer["added_tokens"].append({"id": i, "content": token, **flags})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    config |= {"chat_template": template}
    if chat_tokens:
        config |= {"eos_token": chat_tokens[-1]}
    path.write_text(json.dumps(config))
    model = AutoModelForCausalLM.from_pretrained(folder)
    size = first + len(chat_tokens)
    rows = rows or max(size, model.get_input_embeddings().num_embeddings)
    model.resize_token_embeddings(rows, mean_resizing=False)
    eos = [model.config.eos_token_id, *range(first + 1, size)]
    model.config.eos_token_id = eos
    model.save_pretrained(folder)
    said = {"eos_token_id": eos, "temperature": 0.6, "do_sample": True, "top_p": 0.9}
    (folder / "generation_config.json").write_text(json.dumps(said))
    nudge(folder, **how)
    return folder


def expand(base, street, out, *more):
    """Expand a base to the street's tokenizer."""
    args = ["expand", "--model", str(base), "--tokenizer", str(street / "tokenizer"), "--out", str(out), *more]
    assert main(args) == 0
    return out
