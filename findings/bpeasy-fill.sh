#!/usr/bin/env bash
# bpeasy 0.1.6: `fill_to_nearest_multiple_of_eight=True` fills nothing.
#
# Expected: the number of tokens is a multiple of eight, as the argument's name says.
# Seen 2026-11-28, bpeasy 0.1.6 with tiktoken 0.14.0: the filling tokens are made after the encoder's table was copied, so
# with and without the argument there are 281 tokens, and no message. `len` leaves the special token out and says 280,
# which is a multiple of eight only because the vocabulary asked for was one.
# For an expanded vocabulary: count the ids of the tokenizer that was saved, and let the model's rows, not the tokenizer,
# be padded.
#> bpeasy 0.1.6, tiktoken 0.14.0
#> fill False: len 280, ids 281, exported 281
#> fill True: len 280, ids 281, exported 281
. "$(dirname "$0")/lib.sh"
environment env bpeasy==0.1.6 tiktoken==0.14.0 tokenizers==0.23.3

cat > probe.py <<'PYTHON'
from importlib.metadata import version

from bpeasy.tokenizer import BPEasyTokenizer
from tokenizers import Tokenizer

print(", ".join(f"{name} {version(name)}" for name in ("bpeasy", "tiktoken")))
text = "한국 사람 한국 말 한국어 가나다 가나다 나라 나라말 한국은 한국은 사람은 말은"
for fill in (False, True):
    tokenizer = BPEasyTokenizer.train(
        iter([text] * 5), vocab_size=280, special_tokens=["<|end|>"], fill_to_nearest_multiple_of_eight=fill
    )
    tokenizer.export_to_huggingface_format("tokenizer.json")
    exported = Tokenizer.from_file("tokenizer.json").get_vocab_size()
    ids = tokenizer.encode("<|end|>", allowed_special="all")[0] + 1
    print(f"fill {fill}: len {len(tokenizer)}, ids {ids}, exported {exported}")
PYTHON
env/bin/python probe.py > seen
unchanged
