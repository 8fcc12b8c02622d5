"""What is held out is written down: the same documents for every tokenizer, as text that another tool can take."""

import json
from hashlib import blake2b

import numpy as np
import polars as pl
import pytest

import kovocab
from kovocab.corpus.templates import Templates
from kovocab.packing.splitting import HELD_OUT
from kovocab.packing.token_files import Packing, Source
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.base import pack

SHARE = 0.02
BOTH = ["{en}\n{ko}", "{ko}\n{en}"]


@pytest.fixture(scope="module")
def pairs(data, tmp_path_factory):
    """A few thousand real pairs, of which one is there twice."""
    rows = pl.scan_ndjson(data / "en_ko_pairs.jsonl.zst").head(3000).collect()
    path = tmp_path_factory.mktemp("pairs") / "pairs.parquet"
    pl.concat([rows, rows[:1]]).write_parquet(path)
    return path


def held_out(packed):
    return [json.loads(line) for line in (packed.folder / HELD_OUT).read_text(encoding="utf-8").splitlines()]


def test_it_is_the_same_for_every_tokenizer_and_says_by_which_hash(data, pairs, tmp_path):
    rows = pl.read_parquet(pairs).to_dicts()
    wanted = []
    for row in rows:  # the obvious twin
        text = Templates(tuple(BOTH)).fill(row)
        key = blake2b(text.encode(), digest_size=8)
        if int(key.hexdigest(), 16) < int(SHARE * 2**64):
            wanted.append({"text": text, "source": "pairs", "hash": key.hexdigest()})
    assert 30 < len(wanted) < 90
    for name in ("mistral_v1", "gpt2"):
        tokenizer = data / "tokenizers" / name
        source = Source("pairs", str(pairs), template=BOTH)
        packed = pack(source, tokenizer, tmp_path / "tokens", Packing(64, SHARE))
        found = held_out(packed)
        assert found == wanted
        assert len(found) == packed.record["validation"]["documents"] == len(packed.ends("validation"))
        # They are the documents of the token file, one by one.
        reference = Reference(load_tokenizer(tokenizer))
        starts = [0, *packed.ends("validation").tolist()]
        for each, first, last in zip(found, starts[:-1], starts[1:], strict=True):
            ids = packed.tokens("validation")[first:last].tolist()
            own = reference.encode([each["text"]], template=True)[0]
            assert ids[: len(own)] == own
            assert len(ids) <= len(own) + 1
        # Another tool reads them: kovocab evaluate, too, and finds as many words.
        table = kovocab.evaluate(packed.folder / HELD_OUT, tokenizer)
        assert table["words"].item() == packed.record["validation"]["words"]
        assert table["tokens"].item() == packed.record["validation"]["text_tokens"]
        assert pl.read_ndjson(packed.folder / HELD_OUT).columns == ["text", "source", "hash"]


def test_one_column_or_another_template_is_another_packing(data, pairs, tmp_path):
    folders = set()
    for settings in ({"template": BOTH}, {"template": BOTH[::-1]}, {"template": BOTH[0]}, {"column": "ko"}):
        source = Source("pairs", str(pairs), **settings)
        packed = pack(source, data / "tokenizers/mistral_v1", tmp_path / "tokens", Packing(64, SHARE))
        folders.add(packed.folder)
        assert packed.record["corpus"].get("template") == settings.get("template")
        tokens = sum(packed.record[part]["tokens"] for part in ("train", "validation"))
        assert tokens == sum(np.diff(packed.ends(part), prepend=np.uint64(0)).sum() for part in ("train", "validation"))
    assert len(folders) == 4
