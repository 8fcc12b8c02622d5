#!/usr/bin/env bash
# tokie 0.1.4: the normaliser that it runs is not the one that tokenizer.json names.
#
# Expected: a tokenizer.json is encoded as `tokenizers` does it, or refused; its page calls tokie a drop-in replacement.
# Seen 2026-11-28, tokie 0.1.4 beside tokenizers 0.23.3, a byte-level tokenizer without merges, the texts 한, the same in
# jamo, and É: without a normaliser and under NFC both agree. NFD, NFKC and NFKD are loaded and not applied: NFKC leaves
# jamo apart, NFD and NFKD leave syllables whole. Lowercase does more than it says: it takes syllables apart into jamo
# and accents away. Nothing is raised or printed.
# For an expanded vocabulary: Korean tokens are of composed syllables; behind such a normaliser none of them is reached
# (nine bytes in place of three). Compare ids on Korean text before a faster encoder takes the place of the first.
#> tokenizers 0.23.3, tokie 0.1.4
#> None: alike
#> NFC: alike
#> NFD: 한 ᄒ+ᅡ+ᆫ by tokenizers, 한 by tokie; É E+́ by tokenizers, É by tokie
#> NFKC: ᄒ+ᅡ+ᆫ 한 by tokenizers, ᄒ+ᅡ+ᆫ by tokie
#> NFKD: 한 ᄒ+ᅡ+ᆫ by tokenizers, 한 by tokie; É E+́ by tokenizers, É by tokie
#> Lowercase: 한 한 by tokenizers, ᄒ+ᅡ+ᆫ by tokie; É é by tokenizers, e by tokie
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
for name in (None, "NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
    file = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": name and {"type": name}, "pre_tokenizer": byte_level, "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {letter: i for i, letter in enumerate(letters)}, "merges": []},
    }
    with open("tokenizer.json", "w") as out:
        json.dump(file, out)
    theirs = tokenizers.Tokenizer.from_file("tokenizer.json")
    tokies = tokie.Tokenizer.from_json("tokenizer.json")
    lines = []
    for text in ("한", "\u1112\u1161\u11ab", "É"):
        # Read back by the same decoder, so that only the encoders are compared; + between code points.
        ids = [theirs.encode(text).ids, list(tokies.encode(text, add_special_tokens=False).ids)]
        if ids[0] != ids[1]:
            want, got = ("+".join(theirs.decode(row)) for row in ids)
            lines.append(f"{'+'.join(text)} {want} by tokenizers, {got} by tokie")
    print(f"{name}:", "; ".join(lines) or "alike")
PYTHON
env/bin/python probe.py > seen
unchanged
