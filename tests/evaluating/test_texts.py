"""Which documents are measured on: the same whatever the order, within the budget, one definition of a word."""

import hashlib
import json
import random
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from kovocab.errors import CorpusError, UsageError
from kovocab.evaluating.texts import Budget, choose, held_out
from kovocab.tokenizer.script import WORD
from support.base import texts

TEXTS = texts(200)


def by_hash(documents):
    return sorted(set(documents), key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest())


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_the_lowest_hashes_are_taken_in_whatever_order(batch):
    shuffled = random.Random(1).sample(TEXTS, len(TEXTS))
    series = pl.Series([*shuffled, *TEXTS[:20], None, ""])
    found = choose((series.slice(at, batch) for at in range(0, len(series), batch)), "ko", Budget(30, None))
    assert found.documents.to_list() == by_hash(TEXTS)[:30]
    assert found.of == 220


def test_bytes_end_it_but_one_is_always_taken():
    found = choose([pl.Series(TEXTS)], "ko", Budget(None, 500))
    wanted = by_hash(TEXTS)
    assert found.documents.to_list() == wanted[: len(found.documents)]
    sizes = [len(text.encode()) for text in wanted]
    assert found.bytes == sum(sizes[: len(found.documents)]) <= 500 < sum(sizes[: len(found.documents) + 1])
    assert choose([pl.Series(TEXTS)], "ko", Budget(None, 1)).documents.to_list() == wanted[:1]


def test_nothing_to_measure_on_is_one_line():
    with pytest.raises(CorpusError, match="ko holds no text to measure on"):
        choose([pl.Series(["", None])], "ko", Budget())
    with pytest.raises(UsageError, match="documents is 0; wanted at least 1"):
        Budget(0)


def test_scripts():
    documents = ["나무 그늘 tree", "a tree 나무", "Ωμέγα", "12 + 3", "é è", "가나ab"]
    found = choose([pl.Series(documents)], "all", Budget())
    assert dict(zip(found.documents, found.scripts, strict=True)) == {
        "나무 그늘 tree": "Hangul", "a tree 나무": "Latin", "Ωμέγα": "other", "12 + 3": "other", "é è": "Latin",
        "가나ab": "Hangul",
    }  # fmt: skip


def test_what_is_held_out_is_read_as_it_was_written(tmp_path):
    lines = [json.dumps({"text": text, "source": "ko", "hash": "0"}, ensure_ascii=False) for text in TEXTS]
    (tmp_path / "validation.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert held_out(tmp_path, "ko", Budget(5)).documents.to_list() == by_hash(TEXTS)[:5]
    (tmp_path / "validation.jsonl").write_text("no JSON\n")
    with pytest.raises(CorpusError, match=r"validation.jsonl is not what `kovocab pack` wrote"):
        held_out(tmp_path, "ko", Budget())
    with pytest.raises(CorpusError, match="wanted --corpus with text"):
        held_out(tmp_path / "gone", "ko", Budget())


def test_what_is_held_out_is_what_was_packed(street, tmp_path):
    """By the record beside it: figures on other text would be called the run's."""
    packed = Path(shutil.copytree(next((street / "tokens").glob("ko.*")), tmp_path / "packed"))
    lines = (packed / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    everything = Budget(None, None)
    assert sorted(held_out(packed, "ko", everything).documents) == sorted({json.loads(each)["text"] for each in lines})
    for text in ('{"text": "one more"}\n', "[" * 100_000):
        (packed / "validation.jsonl").write_text("\n".join([*lines, text]), encoding="utf-8")
        with pytest.raises(CorpusError, match=r"validation.jsonl is not what `kovocab pack` wrote there"):
            held_out(packed, "ko", everything)
    (packed / "kovocab.json").write_text("{}")
    with pytest.raises(CorpusError, match=r"packed/kovocab.json is not a record of kovocab"):
        held_out(packed, "ko", everything)
    (packed / "kovocab.json").unlink()
    with pytest.raises(CorpusError, match=r"validation.jsonl is not what `kovocab pack` wrote: "):
        held_out(packed, "ko", everything)


def test_a_word_is_one_thing_everywhere():
    """Python's `re`, Polars and the engine see the same words: Unicode's White_Space stands between them."""
    points = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    series = pl.Series([f"a{character}a" for character in points])
    ours = [len(re.findall(WORD, text)) for text in series]
    assert series.str.count_matches(WORD).to_list() == ours
    assert series.str.count_matches(r"\S+").to_list() == ours  # Rust's, as the engine's
    assert sum(ours) == len(ours) + 25
