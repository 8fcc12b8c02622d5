#!/usr/bin/env bash
# tokenizers 1.0.0rc3: with Metaspace, added tokens that are "normalized" are looked for after spaces have become ▁.
#
# Expected: Metaspace is a pre-tokenizer, so it comes after added tokens were taken out of the text, as in 0.23.3.
# Seen 2026-11-28, one tokenizer.json, ids differ in silence. In 1.0.0rc3 an added token with `"normalized": true` (what
# `add_tokens` makes of a plain string)
#   - is never found if it holds a space ("a b"),
#   - is found where only ▁ was meant ("▁x" in "zc x"),
#   - has an extra ▁ before it at the start of a text ("new").
# With `"normalized": false` both versions agree (last line of each).
# For an expanded vocabulary: one that was made with `add_tokens` on a base with Metaspace encodes otherwise under 1.0,
# texts that begin with a new word among them. Tokens that the model makes by merges are not touched.
#> tokenizers 0.23.3
#> normalized: 'za b' [6, 10] 'zc x' [6, 3, 1, 4] 'new' [12]
#> not normalized: 'za b' [6, 10] 'zc x' [6, 3, 1, 4] 'new' [12]
#> tokenizers 1.0.0-rc.3
#> normalized: 'za b' [6, 2, 1, 5] 'zc x' [6, 3, 11] 'new' [1, 12]
#> not normalized: 'za b' [6, 10] 'zc x' [6, 3, 1, 4] 'new' [12]
. "$(dirname "$0")/lib.sh"
environment old tokenizers==0.23.3
environment new tokenizers==1.0.0rc3

cat > probe.py <<'PYTHON'
import json

import tokenizers

print("tokenizers", tokenizers.__version__)
vocab = {piece: i for i, piece in enumerate(["<unk>", "▁", "a", "c", "x", "b", "▁z", "z", "n", "e"])}
for normalized in (True, False):
    added = [
        {"id": 10 + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": normalized, "special": False}
        for i, content in enumerate(["a b", "▁x", "new"])
    ]
    file = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": [["▁", "z"]]},
    }
    with open("tokenizer.json", "w") as out:
        json.dump(file, out)
    tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
    name = "normalized" if normalized else "not normalized"
    texts = ["za b", "zc x", "new"]
    print(f"{name}:", *(f"{text!r} {tokenizer.encode(text).ids}" for text in texts))
PYTHON
for python in old new; do $python/bin/python probe.py; done > seen
unchanged
