"""Token files of documents that are given as ids, and the slow, obvious twin of the bias."""

import numpy as np

from kovocab.artefact import new_folder
from kovocab.packing.packed import PackedSource
from kovocab.record import write_record


def token_files(folder, documents, first_new_id, length=16, name="web"):
    """The folder of a source whose training part is `documents`, lists of ids; what is held out is of no matter."""
    held_out = [[1] * length]
    counts = {}
    with new_folder(folder) as beside:
        for part, texts in (("train", documents), ("validation", held_out)):
            ids = np.array([number for text in texts for number in text], dtype="<u2")
            ids.tofile(beside / f"{part}.bin")
            np.cumsum([len(text) for text in texts]).astype("<u8").tofile(beside / f"{part}.ends")
            blocks, dropped = divmod(len(ids), length)
            counts[part] = {"documents": len(texts), "tokens": len(ids), "blocks": blocks, "dropped_tokens": dropped}
        made_from = {"source": name, "corpus": {"kind": "files"}, "tokenizer": "t", "eos": None, "dtype": "<u2"}
        made_from |= {"length": length, "special_tokens_in_text": "text", "documents_with_special_tokens": 0}
        write_record(beside, {"verb": "pack", **made_from, "first_new_id": first_new_id, **counts})
    return PackedSource(folder)


def zipf(seed, documents, old, new, longest=60):
    """Documents of random length with a few frequent and many rare new tokens, ids from `old` on."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(documents):
        length = int(random.integers(1, longest if random.random() < 0.1 else 12))
        rare = old + np.minimum(random.zipf(1.3, length) - 1, new - 1)
        found.append(np.where(random.random(length) < 0.4, rare, random.integers(0, old, length)).tolist())
    return found


def passages_of(documents, length):
    """Each document in parts of at most `length` tokens."""
    return [text[start : start + length] for text in documents for start in range(0, len(text), length)]


def rates_of(passages, first_new_id, min_seen, most, budget):
    """How often each passage is to be read, from the formula: the level is found by halving."""
    counts = {}
    for passage in passages:
        for token in passage:
            counts[token] = counts.get(token, 0) + 1
    needs = [max((min_seen / counts[t] for t in passage if t >= first_new_id), default=0.0) for passage in passages]
    needs = [min(most, need) for need in needs]

    def read(level):
        return sum(max(level, need) * len(passage) for need, passage in zip(needs, passages, strict=True))

    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if read(middle) <= budget else (low, middle)
    return [max(low, need) for need in needs] if read(0.0) <= budget else None
