#!/usr/bin/env bash
# tokie 0.1.4: merges go by the ids of what they make, and not by their order in tokenizer.json.
#
# Expected: the list of merges is in order of rank; ids are names.
# Seen 2026-11-28, tokie 0.1.4 beside tokenizers 0.23.3, a byte-level tokenizer with two merges: `bc` is merged first and
# has the later id. `tokenizers` makes "a bc" of abc, and tokie "ab c". With the two ids exchanged both make "a bc".
# Nothing is raised or printed.
# For an expanded vocabulary: old ids stay, so new tokens have later ids, also where their merges stand above the base's,
# as they have to on a byte-level base; 916 of 5,000 Korean documents got other ids.
#> tokenizers 0.23.3, tokie 0.1.4
#> ids ab 256, bc 257: a bc by tokenizers, ab c by tokie
#> ids ab 257, bc 256: a bc by tokenizers, a bc by tokie
. "$(dirname "$0")/lib.sh"
environment env tokie==0.1.4 tokenizers==0.23.3

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version

import tokenizers
import tokie
from tokenizers.pre_tokenizers import ByteLevel

letters = sorted(ByteLevel.alphabet(), key=ord)
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
print(f"tokenizers {version('tokenizers')}, tokie {version('tokie')}")
for ids in ({"ab": 256, "bc": 257}, {"ab": 257, "bc": 256}):
    vocab = {letter: i for i, letter in enumerate(letters)} | ids
    file = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": [["b", "c"], ["a", "b"]]},
    }
    with open("tokenizer.json", "w") as out:
        json.dump(file, out)
    token = {i: name for name, i in vocab.items()}
    theirs = tokenizers.Tokenizer.from_file("tokenizer.json").encode("abc").ids
    tokies = tokie.Tokenizer.from_json("tokenizer.json").encode("abc", add_special_tokens=False).ids
    read = [" ".join(token[i] for i in row) for row in (theirs, tokies)]
    print(f"ids ab {ids['ab']}, bc {ids['bc']}: {read[0]} by tokenizers, {read[1]} by tokie")
PYTHON
env/bin/python probe.py > seen
unchanged
