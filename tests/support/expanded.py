"""An expanded model and a corpus, small enough to train in a test: what `refine` and `expand` would have left."""

import json
import random

import polars as pl
from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

from kovocab.artefact import write_record
from kovocab.expanding.new_rows import INITIALISATION
from kovocab.expanding.spelling import save_pieces
from support.models import tiny

BASE_TOKENS, NEW_TOKENS, LENGTH = 288, 32, 16


def texts(count, word="나무", seed=0):
    """Documents with something to learn: few words, often the same neighbours."""
    random.seed(seed)
    pairs = ["나무 그늘", "바다 바람", "하늘 구름", "old trees", "new words"]
    return [f"{word} {i} " + " ".join(random.choices(pairs, k=6)) for i in range(count)]


def corpus(folder, name, documents):
    """Write `documents` as JSON lines; give the path."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return path


def save_tokenizer(folder):
    """A BPE tokenizer with byte fallback, bos by template, eos by tokenizer_config.json."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    size = BASE_TOKENS + NEW_TOKENS
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    made.train_from_iterator(texts(50), trainer)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", made.token_to_id("<s>"))]
    )
    # The bytes are tokens of the model and not special ones, as in a real base.
    whole = json.loads(made.to_str())
    whole["added_tokens"] = [token for token in whole["added_tokens"] if token["id"] < 3]
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return made.get_vocab_size()


REFINED = {
    "verb": "refine",
    "first_new_id": BASE_TOKENS,
    "settings": {"min_count": 5, "prune": "threshold"},
    "words": {
        "verb": "count",
        "corpus": {"kind": "files", "column": "text", "bytes": 1234, "files": [{"name": "ko.jsonl", "bytes": 1234}]},
        "documents": 4321,
        "words": 98765,
        "distinct_words": 1200,
    },
    "base_tokens_per_word": 4.75,
    "rounds": [
        {
            "round": 1,
            "size": 40,
            "dropped": 8,
            "added": 0,
            "unreachable": 0,
            "tokens_per_word": 2.5,
            "bytes_per_token": 3.1,
        },
        {
            "round": 2,
            "size": 32,
            "dropped": 0,
            "added": 0,
            "unreachable": 0,
            "tokens_per_word": 2.6,
            "bytes_per_token": 3.0,
        },
    ],
}


def vocabulary():
    """New tokens, each with one to four base pieces."""
    pieces = [[3 + (7 * i + k) % (BASE_TOKENS - 3) for k in range(1 + i % 4)] for i in range(NEW_TOKENS)]
    ids = range(BASE_TOKENS, BASE_TOKENS + NEW_TOKENS)
    table = {"id": ids, "token": [f"new{i}" for i in ids], "base_pieces": pieces}
    return pl.DataFrame(table, schema={"id": pl.UInt32, "token": pl.String, "base_pieces": pl.List(pl.UInt32)})


def save_expanded(folder, architecture="llama", **settings):
    """What `kovocab expand` leaves, with random weights."""
    folder.mkdir(parents=True)
    size = save_tokenizer(folder)
    tiny(architecture, rows=size, **settings).save_pretrained(folder)
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    named = vocabulary().with_columns(token=pl.Series([tokens.id_to_token(i) for i in range(BASE_TOKENS, size)]))
    save_pieces(named, BASE_TOKENS, folder)
    write_record(
        folder,
        {
            "verb": "expand",
            "base_model": "example/base",
            "first_new_id": BASE_TOKENS,
            "vocab_size": size,
            "new_tokens": size - BASE_TOKENS,
            "tied": False,
            "dtype": "float32",
            "initialisation": INITIALISATION,
            "tokenizer": REFINED,
        },
    )
    return folder
