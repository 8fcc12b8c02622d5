#!/usr/bin/env bash
# onnxruntime-extensions 0.15: with an added token of two spaces, a text that ends in a space and a letter loses the letter.
#
# Expected: an added token that does not stand in a text changes nothing.
# Seen 2026-11-28, onnxruntime-extensions 0.15.2, tokenizers 0.23.3, a byte-level tokenizer without merges: "a b" is "a" and
# a space as soon as two spaces are an added token, and no id stands for the b. "a bc" and "a b." are whole. Nothing is
# raised or printed. phi-2's tokenizer has 38 added runs of spaces and tabs.
# For an expanded vocabulary: Korean ends in one syllable behind a space (혹시 나) more often than English in one letter.
#> onnxruntime-extensions 0.15.2, tokenizers 0.23.3
#> without an added token: a Ġ b | a Ġ b c | a Ġ b . by tokenizers and by onnxruntime-extensions
#> with two spaces added: a Ġ b | a Ġ b c | a Ġ b . by tokenizers; a Ġ | a Ġ b c | a Ġ b . by onnxruntime-extensions
. "$(dirname "$0")/lib.sh"
environment env onnxruntime-extensions==0.15.2 tokenizers==0.23.3 numpy==2.4.6

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

from onnxruntime_extensions.pp_api import Tokenizer as Onnx
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

print(", ".join(f"{name} {version(name)}" for name in ("onnxruntime-extensions", "tokenizers")))
letters = sorted(ByteLevel.alphabet(), key=ord)
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
TEXTS = ("a b", "a bc", "a b.")
for name, added in (("without an added token", []), ("with two spaces added", ["  "])):
    file = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": byte_level,
        "added_tokens": [{"id": len(letters) + i, "content": token} | FLAGS for i, token in enumerate(added)],
        "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {letter: i for i, letter in enumerate(letters)}, "merges": []},
    }
    Path("tokenizer.json").write_text(json.dumps(file))
    Path("tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    first, second = Tokenizer.from_file("tokenizer.json"), Onnx(".", {"add_special_tokens": "false"})
    token = letters + added
    theirs = " | ".join(" ".join(token[i] for i in first.encode(text).ids) for text in TEXTS)
    onnx = " | ".join(" ".join(token[i] for i in second.tokenize(text)) for text in TEXTS)
    both = "and by onnxruntime-extensions" if onnx == theirs else None
    print(f"{name}: {theirs} by tokenizers" + (f" {both}" if both else f"; {onnx} by onnxruntime-extensions"))
PYTHON
env/bin/python probe.py > seen
unchanged
