"""A folder as export leaves it, small, without a model behind it."""

import json
from pathlib import Path

from kovocab.ownership import listing
from kovocab.record import RECORD, Record, write_record
from support.records import trained

CARD = """---
language:
- ko
license: apache-2.0
base_model: some/base
base_model_relation: finetune
datasets: [some/text]
tags: [kovocab]
---

# A model

See https://huggingface.co/some/base and/or docs/serving.md; 3/4 of it.
"""


def save_export(folder: Path, verb: str = "export", **files: str) -> Path:
    """Write one; further files by their names, with `_` for a dot."""
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "tokenizer.json").write_text(json.dumps({"vocab": {"/usr/bin": 0}}))
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    record: Record = {"verb": verb, "name": "m", "model": trained(320, 330), "notes": []}
    write_record(folder, record | {"files": listing(folder, [RECORD])})
    return folder
