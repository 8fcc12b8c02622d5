#!/usr/bin/env bash
# transformers 5: under the class LlamaTokenizer only vocabulary and merges are taken from tokenizer.json.
#
# Expected: AutoTokenizer on a folder with a tokenizer.json gives that tokenizer, whatever `tokenizer_class` says.
# Seen 2026-11-28, transformers 5.23.0, tokenizers 0.23.3: with `"tokenizer_class": "LlamaTokenizer"` the normaliser, the
# pre-tokenizer and `ignore_merges` of the file are left out, and a Metaspace put in their place: NFKC is not done, a
# leading space is lost, a word after a special token loses its ▁, digits are merged that the file keeps apart. Under
# `PreTrainedTokenizerFast` the file is taken whole. Nothing is printed in either case.
# For an expanded vocabulary: the class name in tokenizer_config.json chooses the tokenizer. Write
# PreTrainedTokenizerFast beside a tokenizer.json that counts, and compare ids after from_pretrained.
#> transformers 5.23.0, tokenizers 0.23.3
#> PreTrainedTokenizerFast: normalizer Sequence, pre_tokenizer Digits, ignore_merges True; all texts alike
#> LlamaTokenizer: normalizer None, pre_tokenizer Metaspace, ignore_merges False; other ids:
#>   '한국': file ▁한국, loaded ▁ 한국
#>   'ａ': file ▁ a, loaded ▁ <0xEF> <0xBD> <0x81>
#>   ' a': file ▁ ▁ a, loaded ▁ a
#>   'a<s>한국': file ▁ a <s> ▁한국, loaded ▁ a <s> 한국
#>   '12': file ▁ 1 2, loaded ▁ 12
. "$(dirname "$0")/lib.sh"
environment env transformers==5.23.0 tokenizers==0.23.3

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version

from tokenizers import Tokenizer
from transformers import AutoTokenizer

print(", ".join(f"{name} {version(name)}" for name in ("transformers", "tokenizers")))
SPECIAL = ["<unk>", "<s>", "</s>"]
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
pieces = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)] + ["▁", "a", "1", "2", "한", "국", "12", "한국", "▁한국"]
file = {
    "version": "1.0", "truncation": None, "padding": None, "post_processor": None,
    "added_tokens": [{"id": i, "content": token} | FLAGS for i, token in enumerate(SPECIAL)],
    "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "NFKC"}, {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]},
    "pre_tokenizer": {"type": "Digits", "individual_digits": True},
    "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    ]},
    "model": {
        "type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "ignore_merges": True,
        "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [["한", "국"], ["1", "2"]],
    },
}
with open("tokenizer.json", "w") as out:
    json.dump(file, out)
whole = Tokenizer.from_file("tokenizer.json")
for name in ("PreTrainedTokenizerFast", "LlamaTokenizer"):
    config = {"tokenizer_class": name, "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    with open("tokenizer_config.json", "w") as out:
        json.dump(config, out)
    loaded = AutoTokenizer.from_pretrained(".")
    parts = json.loads(loaded.backend_tokenizer.to_str())
    kinds = [f"{key} {(parts[key] or {}).get('type')}" for key in ("normalizer", "pre_tokenizer")]
    other = []
    for text in ("a", "한국", "ａ", " a", "a<s>한국", "12"):
        want = whole.encode(text, add_special_tokens=False).tokens
        got = loaded.convert_ids_to_tokens(loaded(text, add_special_tokens=False)["input_ids"])
        if want != got:
            other.append(f"  {text!r}: file {' '.join(want)}, loaded {' '.join(got)}")
    merges = f"ignore_merges {parts['model']['ignore_merges']}"
    print(f"{name}:", ", ".join([*kinds, merges]) + ("; other ids:" if other else "; all texts alike"))
    print(*other, sep="\n", end="\n" if other else "")
PYTHON
env/bin/python probe.py > seen
unchanged
