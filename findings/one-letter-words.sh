#!/usr/bin/env bash
# tokenizers 1.0.0rc3: a word of a single character loses its `end_of_word_suffix`.
#
# Expected: in a BPE model with `"end_of_word_suffix": "</w>"` the last character of a word carries the suffix, as in
# 0.23: "a" is `a</w>`, and `ab` is `a`, `b</w>`.
# Seen 2026-11-28, tokenizers 0.23.3 and 1.0.0rc3, the same tokenizer.json: in 1.0.0rc3 a word of one character is the
# token without the suffix where there is one, in silence; where there is none it has the suffix, and longer words are as
# before.
# For an expanded vocabulary: of Korean words of one syllable (그, 이, 저) the ids are others, and so are the rows that were
# trained. Compare the ids of both versions on short words before the library is upgraded under a trained model.
#> tokenizers 0.23.3
#> 그 나무: 그</w> 나 무</w>
#> 저: 저</w>
#> tokenizers 1.0.0-rc.3
#> 그 나무: 그 나 무</w>
#> 저: 저</w>
. "$(dirname "$0")/lib.sh"
environment old tokenizers==0.23.3
environment new tokenizers==1.0.0rc3

cat > probe.py <<'PYTHON'
import json

import tokenizers

PIECES = ["그", "나", "무", "그</w>", "나</w>", "무</w>", "저</w>"]
file = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
    "model": {
        "type": "BPE", "end_of_word_suffix": "</w>", "vocab": {piece: i for i, piece in enumerate(PIECES)}, "merges": [],
    },
}
with open("tokenizer.json", "w") as out:
    json.dump(file, out)
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
print("tokenizers", tokenizers.__version__)
for text in ("그 나무", "저"):
    print(f"{text}:", *(PIECES[i] for i in tokenizer.encode(text).ids))
PYTHON
for python in old new; do $python/bin/python probe.py; done > seen
unchanged
