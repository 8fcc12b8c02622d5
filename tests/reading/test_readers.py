"""Readers: several files at once, each in its own order, and no thread that outlives them."""

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pytest

from kovocab.corpus.faults import Fault
from kovocab.errors import CorpusError
from kovocab.reading import blocks
from kovocab.reading.readers import read_files


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 400)


@pytest.fixture
def files(tmp_path: Path, small_blocks: None) -> list[Path]:
    """Files of many blocks, the first the longest; one is empty, one compressed, one of rows."""
    for number in range(6):
        texts = [f"{number} {line}" for line in range(0 if number == 3 else 900 - 100 * number)]
        path = tmp_path / f"{number}.txt"
        path.write_text("".join(f"{text}\n" for text in texts))
    pl.DataFrame({"text": [f"6 {row}" for row in range(300)]}).write_parquet(tmp_path / "6.parquet")
    return sorted(tmp_path.iterdir())


def taken(files: list[Path], **settings: object) -> dict[Path, list[object]]:
    """What came of each file, in its order."""
    found: dict[Path, list[object]] = {path: [] for path in files}
    for path, item in read_files(files, **settings):  # type: ignore[arg-type]
        assert None not in found[path], "something came after the end"
        found[path] += item.to_list() if isinstance(item, pl.Series) else [item]
    return found


@pytest.mark.parametrize("at_once", [1, 2, 3, 20])
def test_each_file_comes_whole_and_in_order(files: list[Path], at_once: int) -> None:
    sizes = [900, 800, 700, 0, 500, 400, 300]
    for (path, found), size in zip(taken(files, at_once=at_once).items(), sizes, strict=True):
        number = int(path.stem)
        assert found == [*(f"{number} {line}" for line in range(size)), None]


def test_files_are_open_side_by_side_and_no_more_than_were_asked_for(files: list[Path]) -> None:
    for at_once in (1, 3):
        begun, most = set(), 0
        for path, item in read_files(files, at_once=at_once):
            begun.add(path)
            if item is None:
                begun.remove(path)
            most = max(most, len(begun))
        assert most <= at_once
        assert (most > 1) == (at_once > 1)


def test_a_reader_begins_where_it_is_told(files: list[Path]) -> None:
    found = taken(files, at_once=3, start=lambda path: 100 * int(path.stem))
    for path, texts in found.items():
        number = int(path.stem)
        whole = taken([path], at_once=1)[path]
        assert texts == [*whole[:-1][100 * number :], None]


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_an_error_in_one_file_reaches_the_caller(files: list[Path], at_once: int) -> None:
    files[2].write_bytes(b"fine\n" * 500 + b"\xff\n" + b"fine\n" * 500)
    with pytest.raises(CorpusError, match=r"2\.txt: line 501: invalid UTF-8"):
        taken(files, at_once=at_once)
    files[2].unlink()
    with pytest.raises(CorpusError, match=r"2\.txt: cannot be read: No such file"):
        taken(files, at_once=at_once)


def test_faults_that_are_skipped_come_where_they_are(files: list[Path]) -> None:
    for path in files[:3]:
        path.write_bytes(b"a\nb\n\xff\nc\n" * 200)
    found = taken(files[:3], at_once=3, skip=True)
    places = [f"line {4 * n + 3}" for n in range(200)]
    for path in files[:3]:
        assert [item.place for item in found[path] if isinstance(item, Fault)] == places
        assert {item.file for item in found[path] if isinstance(item, Fault)} == {str(path)}
        assert [item for item in found[path] if isinstance(item, str)] == ["a", "b", "c"] * 200
        # With a start, the faults before it come again: all are the same, in the same order.
        again = taken([path], at_once=1, skip=True, start=lambda _: 301)[path]
        assert [item.place for item in again if isinstance(item, Fault)] == places
        assert [item for item in again if isinstance(item, str)] == (["a", "b", "c"] * 200)[301:]


@pytest.mark.parametrize("stop", ["break", "error", "close", "at once"])
def test_a_consumer_that_stops_early_leaves_no_thread(files: list[Path], stop: str) -> None:
    items = read_files(files, at_once=4)
    if stop == "at once":
        items.close()  # type: ignore[attr-defined]
        return
    next(items)
    time.sleep(0.05)  # all wait to hand over
    assert threading.active_count() > 1
    if stop == "close":
        items.close()  # type: ignore[attr-defined]
    elif stop == "break":
        for _ in items:
            break
        del items
    else:
        with pytest.raises(ZeroDivisionError):
            fails(items)
        del items


def test_a_consumer_that_stops_early_does_not_wait_for_the_rest(files: list[Path]) -> None:
    begun: list[Path] = []
    items = read_files(files, at_once=2, start=lambda path: begun.append(path) or 0)  # type: ignore[func-returns-value]
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert sorted(begun) in (files[:1], files[:2])  # in whichever order threads came to them


def fails(items: Iterable[object]) -> None:
    for _ in items:
        raise ZeroDivisionError


def test_no_files_give_nothing() -> None:
    assert list(read_files([], at_once=3)) == []
