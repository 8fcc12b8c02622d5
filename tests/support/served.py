"""Opens model folders as a server does: run by the Python of another environment, which has no kovocab.

    python served.py TEXTS.json FOLDER...

writes the ids and the logits of each text to FOLDER/../NAME.served, and says which transformers did.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


@torch.no_grad()
def read(folder: Path, texts: list[str]) -> list[tuple[list[int], torch.Tensor | None]]:
    """The ids of each text, and the logits of them where there is a model."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not (folder / "config.json").is_file():
        return [(tokenizer(text)["input_ids"], None) for text in texts]
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = [tokenizer(text)["input_ids"] for text in texts]
    return [(row, model(torch.tensor([row])).logits) for row in ids]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[2:]:
        path = Path(name)
        torch.save(read(path, json.loads(Path(sys.argv[1]).read_text())), path.with_name(path.name + ".served"))
    print(transformers.__version__)
