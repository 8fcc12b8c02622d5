#!/usr/bin/env bash
# tiktoken: a token that no merge can make is still found, but only by a text piece that is the token and nothing more.
#
# Expected: a rank table either makes the token 한국 wherever it stands in a word, or never.
# Seen 2026-11-28, tiktoken 0.14.0: before it merges, tiktoken looks the whole piece up. With 한국 as a rank and none for
# its parts, the piece 한국 is one token, and 한국어 is nine bytes.
# For an expanded vocabulary: a test that encodes each new token by itself finds every one of them and proves nothing
# (`ignore_merges` of tokenizers has the same effect). Encode the token inside longer words too.
#> tiktoken 0.14.0
#> parts before: 한국 [260], 한국어 [260, 236, 150, 180]
#> no parts: 한국 [256], 한국어 [237, 149, 156, 234, 181, 173, 236, 150, 180]
. "$(dirname "$0")/lib.sh"
environment env tiktoken==0.14.0

cat > probe.py <<'PYTHON'
from importlib.metadata import version

import tiktoken

BYTES = [bytes([i]) for i in range(256)]
first, second = "한".encode(), "국".encode()
parts = [first[:2], first, second[:2], second]
print("tiktoken", version("tiktoken"))
for name, tokens in (
    ("parts before", [*parts, first + second]),
    ("no parts", [first + second]),
):
    ranks = {token: rank for rank, token in enumerate(BYTES + tokens)}
    encoding = tiktoken.Encoding(name, pat_str=r"\p{L}+|.", mergeable_ranks=ranks, special_tokens={})
    print(f"{name}:", ", ".join(f"{text} {encoding.encode(text)}" for text in ("한국", "한국어")))
PYTHON
env/bin/python probe.py > seen
unchanged
