#!/usr/bin/env bash
# tokenizers 0.23.3: a possessive interval, as tiktoken's own cl100k pattern has one, means something else.
#
# Expected: a split pattern can be copied from tiktoken into a tokenizer.json; both call it a regex with \p classes, and
# `?+` and `++` are possessive in both.
# Seen 2026-11-28, tokenizers 0.23.3, tiktoken 0.14.0, whose cl100k cuts numbers by \p{N}{1,3}+: tiktoken cuts at most
# three digits, since the + makes the interval possessive. tokenizers' engine (Oniguruma, in Ruby's syntax) reads the
# same text as one or more of the interval: a run of digits of any length is one piece. Likewise {2}? is lazy in one and
# optional in the other. Nothing is raised or printed; text without long numbers is cut alike, so a short check passes.
# For an expanded vocabulary: a base converted by hand encodes numbers otherwise than it was trained, before and after
# it is grown. Compare ids on numbers, and write \p{N}{1,3} in a tokenizer.json.
#> tokenizers 0.23.3, tiktoken 0.14.0
#> tiktoken's cl100k has \p{N}{1,3}+: True
#> \p{N}{1,3}+ on 1234567: tokenizers 1234567, tiktoken 123 456 7
#> \p{N}{1,3} on 1234567: tokenizers 123 456 7, tiktoken 123 456 7
#> \p{N}?+\p{N} on 1234567: tokenizers 12 34 56 7, tiktoken 12 34 56 7
. "$(dirname "$0")/lib.sh"
environment env tokenizers==0.23.3 tiktoken==0.14.0

cat > probe.py <<'PYTHON'
import inspect
from importlib.metadata import version

import tiktoken
import tiktoken_ext.openai_public
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

print(f"tokenizers {version('tokenizers')}, tiktoken {version('tiktoken')}")
print("tiktoken's cl100k has \\p{N}{1,3}+:", r"\p{N}{1,3}+" in inspect.getsource(tiktoken_ext.openai_public.cl100k_base))
text = "1234567"
# A rank for each byte and for each piece of the text: what is cut out is a token.
pieces = {text[a:b].encode() for a in range(len(text)) for b in range(a + 2, len(text) + 1)}
ranks = {bytes([i]): i for i in range(256)} | {piece: 256 + i for i, piece in enumerate(sorted(pieces))}
for pattern in (r"\p{N}{1,3}+", r"\p{N}{1,3}", r"\p{N}?+\p{N}"):
    ours = [piece for piece, _ in Split(Regex(pattern), "isolated").pre_tokenize_str(text)]
    encoding = tiktoken.Encoding("digits", pat_str=f"{pattern}|.", mergeable_ranks=ranks, special_tokens={})
    theirs = [encoding.decode([i]) for i in encoding.encode(text)]
    print(f"{pattern} on {text}: tokenizers {' '.join(ours)}, tiktoken {' '.join(theirs)}")
PYTHON
env/bin/python probe.py > seen
unchanged
