#!/usr/bin/env bash
# Since tokenizers 0.23 the memory that a tokenizer took for its cache is not given back when the tokenizer is gone.
#
# Expected: a `Tokenizer` that nothing refers to any more leaves nothing behind: what it remembers of words that it merged
# goes with it, or with `_clear_cache`.
# Seen 2026-11-29, tokenizers 0.23.3 (0.23.1 and 0.23.2 too): each tokenizer that encoded 20,000 different words leaves some
# 3 MB behind, 7 with `encode_batch` on two processors, for as long as the process runs; `_clear_cache` changes nothing.
# One that encodes nothing, or whose model has `_resize_cache(0)` before it encodes, leaves nothing. 0.22.2 leaves nothing.
# For an expanded vocabulary: a process that makes tokenizer after tokenizer, to compare vocabularies say, grows with each
# of them; give a tokenizer that is used once no cache.
#> tokenizers 0.22.2
#> made: nothing stays
#> encoded: nothing stays
#> tokenizers 0.23.3
#> made: nothing stays
#> encoded: 2 MB or more of each stay
#> encoded, then _clear_cache: 2 MB or more of each stay
#> _resize_cache(0), then encoded: nothing stays
. "$(dirname "$0")/lib.sh"
environment old tokenizers==0.22.2
environment new tokenizers==0.23.3

cat > probe.py <<'PYTHON'
import gc
import itertools
import os
import sys

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers

LETTERS, AGAIN = "abcdefghij", 15
MERGES = list(itertools.product(LETTERS, "aei"))
VOCAB = {token: i for i, token in enumerate(dict.fromkeys([*LETTERS, *map("".join, MERGES)]))}
WORDS = ["".join(word) for word in itertools.islice(itertools.product(LETTERS, repeat=6), 0, 1_000_000, 50)]
TEXTS = [" ".join(WORDS[at : at + 20]) for at in range(0, len(WORDS), 20)]


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def use(before, encode, after):
    tokenizer = Tokenizer(models.BPE(vocab=VOCAB, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    before(tokenizer.model)
    if encode:
        for text in TEXTS:
            tokenizer.encode(text)
    after(tokenizer.model)


def nothing(model):
    pass


ways = {"made": (nothing, False, nothing), "encoded": (nothing, True, nothing)}
if "caches" in sys.argv:
    ways["encoded, then _clear_cache"] = (nothing, True, lambda model: model._clear_cache())
    ways["_resize_cache(0), then encoded"] = (lambda model: model._resize_cache(0), True, nothing)
print("tokenizers", tokenizers.__version__)
for name, way in ways.items():
    use(*way)
    begin = resident()
    for _ in range(AGAIN):
        use(*way)
        gc.collect()
    each = (resident() - begin) / AGAIN
    print(f"{name}:", "2 MB or more of each stay" if each > 2 else "nothing stays" if each < 0.5 else f"{each:.1f} MB")
PYTHON
{ old/bin/python probe.py; new/bin/python probe.py caches; } > seen
unchanged
