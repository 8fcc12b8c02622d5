#!/usr/bin/env bash
# gguf 0.19: without a tokenizer.model every token gets the score -1000, and the order of the merges is lost.
#
# Expected: llama.cpp's Python package gives the tokens of a SentencePiece-style tokenizer.json scores in the order of its
# merges (its tokenizers of this kind merge by score), or refuses the file.
# Seen 2026-11-28, gguf 0.19.0, transformers 5.23.0: `LlamaHfVocab`, the class for such a folder, gives -1000 to all. A
# SentencePiece model made of these tokens and scores takes the leftmost merge where tokenizer.json takes the first one
# learned. A comment in its source calls the score a placeholder; nothing is printed.
# For an expanded vocabulary: keep a tokenizer.model beside tokenizer.json for converting. A folder saved again by
# transformers 5 has none.
#> gguf 0.19.0, transformers 5.23.0, sentencepiece 0.2.3
#> scores of 264 tokens: -1000.0
#> tokenizer.json: 한 국어
#> by the scores: 한국 어
. "$(dirname "$0")/lib.sh"
environment env gguf==0.19.0 transformers==5.23.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2

cat > probe.py <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

from gguf.vocab import LlamaHfVocab
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Tokenizer

print(", ".join(f"{name} {version(name)}" for name in ("gguf", "transformers", "sentencepiece")))
SPECIAL = ["<unk>", "<s>", "</s>"]
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
# Three special tokens, 256 bytes, three syllables, two words; the first merge is "국어".
pieces = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)] + ["한", "국", "어", "국어", "한국"]
file = {
    "version": "1.0", "truncation": None, "padding": None, "post_processor": None, "pre_tokenizer": None,
    "added_tokens": [{"id": i, "content": token} | FLAGS for i, token in enumerate(SPECIAL)],
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {
        "type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
        "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [["국", "어"], ["한", "국"]],
    },
}
Path("tokenizer.json").write_text(json.dumps(file))
config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
Path("tokenizer_config.json").write_text(json.dumps(config))

tokens = list(LlamaHfVocab(Path.cwd()).all_tokens())
print(f"scores of {len(tokens)} tokens:", *{score for _, score, _ in tokens})
model = sentencepiece_model_pb2.ModelProto()
model.trainer_spec.model_type = model.trainer_spec.BPE
model.trainer_spec.byte_fallback = True
model.normalizer_spec.add_dummy_prefix = False
for i, (text, score, kind) in enumerate(tokens):
    # The kinds have the same numbers in both; <unk> is a control token for gguf.
    model.pieces.add(piece=text.decode(), score=score, type=int(kind) if i else 2)
scored = SentencePieceProcessor()
scored.LoadFromSerializedProto(model.SerializeToString())
print("tokenizer.json:", *Tokenizer.from_file("tokenizer.json").encode("한국어").tokens)
print("by the scores:", *scored.EncodeAsPieces("한국어"))
PYTHON
env/bin/python probe.py > seen
unchanged
