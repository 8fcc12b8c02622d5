#!/usr/bin/env bash
# SentencePiece and tokenizers part where new scores are "one below the lowest": scores are float32, and tie.
#
# Expected: pieces appended with scores lowest-1, lowest-2 are merged in that order, as the same merges in a
# tokenizer.json are.
# Seen 2026-11-28, sentencepiece 0.2.3 and tokenizers 0.23.3: with a lowest score of -1e8 or -1e9 (real models give
# runs of spaces such scores) float32 cannot hold the ones: it steps by 8 and by 64 there. Both new pieces get one
# score, and SentencePiece takes the leftmost, which here is the one that should have lost. Nothing warns. With scores
# just below -100 both libraries agree.
# For an expanded vocabulary: put new scores below the lowest ordinary piece, not below the lowest of all, and compare
# tokenizer.model with tokenizer.json on text.
#> sentencepiece 0.2.3, tokenizers 0.23.3
#> tokenizer.json: 한 국어
#> tokenizer.model, lowest -100: 한 국어, new scores -101 -102
#> tokenizer.model, lowest -100000000: 한국 어, new scores -100000000 -100000000
#> tokenizer.model, lowest -1000000000: 한국 어, new scores -1000000000 -1000000000
. "$(dirname "$0")/lib.sh"
environment env sentencepiece==0.2.3 protobuf==7.36.2 tokenizers==0.23.3

cat > probe.py <<'PYTHON'
from importlib.metadata import version

from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Tokenizer, models

UNKNOWN, NORMAL, CONTROL = 2, 1, 3
NEW = ["국어", "한국"]
print(", ".join(f"{name} {version(name)}" for name in ("sentencepiece", "tokenizers")))
letters = ["<unk>", "<s>", "</s>", "한", "국", "어"]
vocab = {piece: i for i, piece in enumerate(letters + NEW)}
twin = Tokenizer(models.BPE(vocab=vocab, merges=[("국", "어"), ("한", "국")]))
print("tokenizer.json:", *twin.encode("한국어").tokens)
for lowest in (-100, -(10**8), -(10**9)):
    model = sentencepiece_model_pb2.ModelProto()
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.normalizer_spec.add_dummy_prefix = False
    for i, piece in enumerate(letters):
        kind = [UNKNOWN, CONTROL, CONTROL, NORMAL, NORMAL, NORMAL][i]
        model.pieces.add(piece=piece, score=lowest if piece == "어" else -i, type=kind)
    for i, piece in enumerate(NEW):
        model.pieces.add(piece=piece, score=lowest - 1 - i, type=NORMAL)
    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.SerializeToString())
    scores = [f"{processor.GetScore(vocab[piece]):.0f}" for piece in NEW]
    print(f"tokenizer.model, lowest {lowest}:", *processor.EncodeAsPieces("한국어"), end=f", new scores {' '.join(scores)}\n")
PYTHON
env/bin/python probe.py > seen
unchanged
