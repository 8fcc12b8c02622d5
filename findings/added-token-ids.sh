#!/usr/bin/env bash
# tokenizers: the id that tokenizer.json gives to an added token is not the id that it gets.
#
# Expected: a token of `added_tokens` with `"id": 500` encodes to 500, or the file is refused.
# Seen 2026-11-28, tokenizers 0.23.3 and 1.0.0rc3 alike: a token that `model.vocab` does not hold gets the number of
# entries of `model.vocab` as its id, in silence.
#   stated  the file says 500; encoding gives 6, and 500 decodes to nothing.
#   hole    the vocabulary lacks id 2: five entries, so the token gets 5, which is already "국"; 5 decodes to the token.
#   grown   one token is added to the model at the next id: <q> moves on from 6 to 7, but the post-processor keeps the
#           id written in it, and every text now begins with the new word.
# For an expanded vocabulary: give each added token its old id in `model.vocab` before the first new token is added, and
# compare the ids of `post_processor` with those of the vocabulary afterwards.
#> tokenizers 0.23.3
#> stated: <q>a = [6, 1], 500 = ''
#> hole: <q>국 = [5, 5], 5 = '<q>'
#> base: <q>국 = [6, 6, 5], read back <q> <q> 국
#> grown: <q>국 = [6, 7, 5], read back 한국 <q> 국
#> tokenizers 1.0.0-rc.3
#> stated: <q>a = [6, 1], 500 = ''
#> hole: <q>국 = [5, 5], 5 = '<q>'
#> base: <q>국 = [6, 6, 5], read back <q> <q> 국
#> grown: <q>국 = [6, 7, 5], read back 한국 <q> 국
. "$(dirname "$0")/lib.sh"
environment old tokenizers==0.23.3
environment new tokenizers==1.0.0rc3

cat > probe.py <<'PYTHON'
import json

import tokenizers


def load(vocab, merges, added_id, post_processor=None):
    added = {"id": added_id, "content": "<q>", "single_word": False, "lstrip": False, "rstrip": False}
    file = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": None,
        "decoder": None, "post_processor": post_processor,
        "added_tokens": [added | {"normalized": False, "special": True}],
        "model": {"type": "BPE", "unk_token": "<unk>", "vocab": vocab, "merges": merges},
    }
    with open("tokenizer.json", "w") as out:
        json.dump(file, out)
    return tokenizers.Tokenizer.from_file("tokenizer.json")


def decode(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=False)


print("tokenizers", tokenizers.__version__)
vocab = {piece: i for i, piece in enumerate(["<unk>", "a", "b", "c", "한", "국"])}
tokenizer = load(vocab, [], 500)
print(f"stated: <q>a = {tokenizer.encode('<q>a').ids}, 500 = {decode(tokenizer, [500])!r}")
tokenizer = load({piece: i for piece, i in vocab.items() if i != 2}, [], 6)
print(f"hole: <q>국 = {tokenizer.encode('<q>국').ids}, 5 = {decode(tokenizer, [5])!r}")
first = {"SpecialToken": {"id": "<q>", "type_id": 0}}
template = {
    "type": "TemplateProcessing", "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<q>": {"id": "<q>", "ids": [6], "tokens": ["<q>"]}},
}
for name, grown, merges in (("base", vocab, []), ("grown", vocab | {"한국": 6}, [["한", "국"]])):
    tokenizer = load(grown, merges, 6, template)
    ids = tokenizer.encode("<q>국").ids
    print(f"{name}: <q>국 = {ids}, read back {decode(tokenizer, ids)}")
PYTHON
for python in old new; do $python/bin/python probe.py; done > seen
unchanged
