#!/usr/bin/env bash
# onnxruntime-extensions 0.15: the class named in tokenizer_config.json decides how tokenizer.json is read.
#
# Expected: of one tokenizer.json, one sequence of ids; tokenizer_config.json has settings of it.
# Seen 2026-11-28, onnxruntime-extensions 0.15.2, tokenizers 0.23.3: under `PreTrainedTokenizerFast`, which transformers
# takes as "open the file as it is", the ▁ before the first word stays a token of its own and merges with nothing. Under
# `LlamaTokenizer` the same file gives the ids of `tokenizers`. There is no warning either way.
# For an expanded vocabulary: nearly every text gets other ids under the class that transformers 4 and 5 both read right.
#> onnxruntime-extensions 0.15.2, tokenizers 0.23.3
#> tokenizers: ▁한국 ▁나라
#> PreTrainedTokenizerFast: ▁ 한국 ▁나라
#> LlamaTokenizer: ▁한국 ▁나라
. "$(dirname "$0")/lib.sh"
environment env onnxruntime-extensions==0.15.2 tokenizers==0.23.3 numpy==2.4.6

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

from onnxruntime_extensions.pp_api import Tokenizer as Onnx
from tokenizers import Tokenizer

print(", ".join(f"{name} {version(name)}" for name in ("onnxruntime-extensions", "tokenizers")))
SPECIAL = ["<unk>", "<s>", "</s>"]
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
WORDS = ["▁", "한", "국", "나", "라", "한국", "▁한국", "나라", "▁나라"]
pieces = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)] + WORDS
space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
file = {
    "version": "1.0", "truncation": None, "padding": None, "post_processor": None, "pre_tokenizer": None,
    "added_tokens": [{"id": i, "content": token} | FLAGS for i, token in enumerate(SPECIAL)],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]},
    "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]},
    "model": {
        "type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
        "vocab": {piece: i for i, piece in enumerate(pieces)},
        "merges": [["한", "국"], ["▁", "한국"], ["나", "라"], ["▁", "나라"]],
    },
}
print("tokenizers:", *Tokenizer.from_str(json.dumps(file)).encode("한국 나라").tokens)
for name in ("PreTrainedTokenizerFast", "LlamaTokenizer"):
    folder = Path(name)
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(file))
    config = {"tokenizer_class": name, "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    ids = Onnx(name, {"add_special_tokens": "false"}).tokenize("한국 나라")
    print(f"{name}:", *(pieces[i] for i in ids))
PYTHON
env/bin/python probe.py > seen
unchanged
