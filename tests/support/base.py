"""A small base tokenizer and text with something to learn, made without torch."""

import json
import random
from collections import Counter

from kovocab.refining.intermediate import train
from kovocab.tokenizer.tokenizer_json import AddedToken, BpeModel, TokenizerJson
from support.vocabularies import words_of

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
    special = ["<unk>", "<s>", "</s>"]
    first = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    whole = Counter("▁" + text.replace(" ", "▁") for text in texts(50))
    learned = train(words_of(whole), BASE_TOKENS + NEW_TOKENS - len(first))
    vocab = dict.fromkeys([*first, *learned["token"]])
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    decoders = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    begin, single, pair = (
        {"SpecialToken": {"id": "<s>", "type_id": 0}},
        *({"Sequence": {"id": name, "type_id": 0}} for name in "AB"),
    )
    made = TokenizerJson(
        BpeModel(
            {token: i for i, token in enumerate(vocab)},
            learned.drop_nulls().select("left", "right").rows(),
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        ),
        tuple(AddedToken(i, token) for i, token in enumerate(special)),
        normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]},
        post_processor={
            "type": "TemplateProcessing",
            "single": [begin, single],
            "pair": [begin, single, pair],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        decoder={"type": "Sequence", "decoders": decoders},
    )
    (folder / "tokenizer.json").write_text(made.text)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return made.size


def pack(source, tokenizer, folder, packing, fingerprint="quick"):
    """The token files of one source."""
    from kovocab.packing.token_files import TokenFiles

    return TokenFiles(tokenizer, folder, packing, fingerprint).pack(source)
