"""Files are read several at a time, and come one after another, from wherever one goes on."""

import json
import threading

import polars as pl
import pytest

from kovocab.corpus.settings import TEXT
from kovocab.errors import CorpusError
from kovocab.reading import readers
from kovocab.reading.readers import Position, read_in_order


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in range(7):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{number} {row} 가"}) + "\n" for row in range(number * 40)))
        paths.append(path)
    return paths


def texts_of(items):
    return [text for series, _ in items for part in series for text in part]


@pytest.mark.parametrize("at_once", [1, 3, 99])
def test_one_order_and_every_position_is_where_to_go_on(at_once, files, monkeypatch):
    monkeypatch.setattr(readers, "BATCH_SIZE", 300)
    items = list(read_in_order(files, TEXT, at_once, Position()))
    every = [f"{number} {row} 가" for number in range(7) for row in range(number * 40)]
    assert texts_of(items) == every
    assert [position.files for _, position in items][-1] == 7
    assert len(items) > 15
    for done, (_, position) in enumerate(items, start=1):
        before = texts_of(items[:done])
        assert position.bytes == sum(len(text.encode()) for text in before if int(text[0]) == position.files)
        assert texts_of(read_in_order(files, TEXT, at_once, position)) == every[len(before) :]


def test_a_series_that_is_far_too_long_is_cut(monkeypatch):
    monkeypatch.setattr(readers, "BATCH_SIZE", 10)
    whole = pl.Series(["abcde"] * 17 + ["x" * 100])
    pieces = list(readers._pieces(whole))
    assert pl.concat(pieces).equals(whole)
    assert all(len(piece) == 1 or piece.str.len_bytes().sum() <= 20 for piece in pieces)


def test_a_fault_is_said_where_it_stands_and_readers_end(files):
    files[3].write_text('{"body": "a"}\n')
    before = threading.active_count()
    found = []
    with pytest.raises(CorpusError, match=r"3\.jsonl"):
        found.extend(read_in_order(files, TEXT, 4, Position()))
    assert texts_of(found) == [f"{number} {row} 가" for number in range(3) for row in range(number * 40)]
    one = read_in_order(files[4:], TEXT, 4, Position())
    next(one)
    one.close()
    assert threading.active_count() <= before
