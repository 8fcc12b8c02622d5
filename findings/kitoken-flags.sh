#!/usr/bin/env bash
# kitoken 0.11.1: `lstrip`, `rstrip` and `single_word` of added tokens are read past.
#
# Expected: kitoken takes tokenizer.json of Hugging Face; where it cannot do what the file says, it refuses (it does
# refuse the normaliser `Strip`).
# Seen 2026-11-28, kitoken 0.11.1 beside tokenizers 0.23.3: the file loads, and added tokens are found as if their three
# flags were false: white space that belongs to a special token becomes tokens of its own, and a `single_word` token is
# cut out of the middle of words.
# For an expanded vocabulary: "가" as a single_word token is found in every 국가. Tokens made by merges are not touched.
#> tokenizers 0.23.3, kitoken 0.11.1
#> no flags: alike
#> lstrip: '국 <q> 나' [1, 5, 3, 2], kitoken [1, 3, 5, 3, 2]
#> rstrip: '국 <q> 나' [1, 3, 5, 2], kitoken [1, 3, 5, 3, 2]
#> single_word: '나가 이' [2, 0, 3, 4], kitoken [2, 5, 3, 4]
. "$(dirname "$0")/lib.sh"
environment env kitoken==0.11.1 tokenizers==0.23.3

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version

from kitoken import Kitoken
from tokenizers import Tokenizer

NONE = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
VOCAB = {"<unk>": 0, "국": 1, "나": 2, " ": 3, "이": 4}
print(f"tokenizers {version('tokenizers')}, kitoken {version('kitoken')}")
for name, content, text in (
    ("no flags", "<q>", "국 <q> 나"),
    ("lstrip", "<q>", "국 <q> 나"),
    ("rstrip", "<q>", "국 <q> 나"),
    ("single_word", "가", "나가 이"),
):
    flags = NONE | {name: True} if name in NONE else NONE
    added = [
        {"id": 0, "content": "<unk>", "special": True} | NONE,
        {"id": 5, "content": content, "special": True} | flags,
    ]
    file = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "unk_token": "<unk>", "vocab": VOCAB, "merges": []},
    }
    with open("tokenizer.json", "w") as out:
        json.dump(file, out)
    want = Tokenizer.from_file("tokenizer.json").encode(text).ids
    got = list(Kitoken.from_tokenizers_file("tokenizer.json").encode(text, True))
    print(f"{name}:", "alike" if want == got else f"{text!r} {want}, kitoken {got}")
PYTHON
env/bin/python probe.py > seen
unchanged
