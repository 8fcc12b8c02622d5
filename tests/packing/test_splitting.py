"""The split of batches is the split of one document after another, bit for bit, wherever it is taken up again."""

import hashlib
import heapq
import json
import random

import numpy as np
import polars as pl
import pytest

from kovocab.packing.encoders import Library
from kovocab.packing.encoding import Encoder
from kovocab.packing.splitting import NAMES, PARTS, Split
from support.reference import as_library


def slow_split(texts, encode, *, length, share):
    """What each part holds, document by document: ids and texts."""
    parts, reserve, highest = {"train": [], "validation": []}, {}, []
    tokens = {"validation": 0, "reserve": 0}

    def release(wanted):
        while highest:
            last = reserve[-highest[0]]
            left = tokens["reserve"] - sum(len(ids) for _, ids in last)
            if left < wanted:
                return
            del reserve[-heapq.heappop(highest)]
            tokens["reserve"] = left
            parts["train"].extend(last)

    for text, ids in zip(texts, encode(texts), strict=True):
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        if key < int(share * 2**64):
            parts["validation"].append((text, ids))
            tokens["validation"] += len(ids)
        else:
            if key not in reserve:
                heapq.heappush(highest, -key)
            reserve.setdefault(key, []).append((text, ids))
            tokens["reserve"] += len(ids)
        release(0 if tokens["validation"] >= length else length)
    for key in sorted(reserve):
        parts["validation"].extend(reserve[key])
    return parts


@pytest.fixture(scope="module")
def encoder(base):
    return Encoder(base, "</s>", "text", None)


@pytest.mark.parametrize("share", [1e-9, 0.001, 0.02, 0.5])
@pytest.mark.parametrize("length", [2, 64, 2_000, 10**6])
def test_batches_are_split_as_documents_are(share, length, encoder, base, ko_small, tmp_path):
    draw = random.Random(f"{share} {length}")
    texts = [text for text in ko_small.head(900) if text]
    texts += draw.choices(texts, k=300)  # copies stand on one side
    draw.shuffle(texts)

    def encode(texts):
        return [[1, *ids, 2] for ids in as_library(base).encode(texts)]

    wanted = slow_split(texts, encode, length=length, share=share)
    at, state = 0, None
    while at < len(texts):  # each time as after a kill: what was written since is cut off
        for name in NAMES:
            with (tmp_path / name).open("ab") as file:
                file.truncate(0 if state is None else state["sizes"][name])
        with Split(tmp_path, encoder, source="web", length=length, share=share, state=state) as split:
            for _ in range(draw.randint(1, 4)):
                size = draw.choice([1, 7, 300])
                split.add(encoder.encode(pl.Series(texts[at : at + size], dtype=pl.String)))
                at += size
            state = json.loads(json.dumps(split.state()))
            state["sizes"] = {name: (tmp_path / name).stat().st_size for name in NAMES}
            if at >= len(texts):
                counts = split.finish()
            else:
                split.add(encoder.encode(pl.Series(["what comes after is lost", *texts[:50]])))
    for part in PARTS:
        ids = [ids for _, ids in wanted[part]]
        assert np.fromfile(tmp_path / f"{part}.bin", "<u2").tolist() == [i for one in ids for i in one]
        assert np.fromfile(tmp_path / f"{part}.ends", "<u8").tolist() == np.cumsum([len(one) for one in ids]).tolist()
        assert counts[part] == {
            "documents": len(ids),
            "tokens": sum(map(len, ids)),
            "words": sum(len(text.split()) for text, _ in wanted[part]),
            "bytes": sum(len(text.encode()) for text, _ in wanted[part]),
            "text_tokens": sum(len(one) - 2 for one in ids),
        }


def test_what_the_base_makes_of_it_is_counted_by_either(base, ko_small, tmp_path):
    """Of what is held out alone, and as often as it is."""
    encoder = Encoder(base, "</s>", "text", base.size)
    assert encoder.has_base
    assert not isinstance(encoder._base, Library)
    with Split(tmp_path, encoder, source="web", length=10, share=0.3) as split:
        split.add(encoder.encode(ko_small.head(2_000)))
        counts = split.finish()
    assert counts["validation"]["base_text_tokens"] == counts["validation"]["text_tokens"] > 10_000
    assert "base_text_tokens" not in counts["train"]
