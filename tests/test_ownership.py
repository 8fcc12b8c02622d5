"""What may be written over: what kovocab wrote and nobody changed, known by its content."""

import json
from pathlib import Path

import polars as pl
import pytest

from kovocab.errors import ArtefactError, UsageError
from kovocab.ownership import (
    PIECE,
    changed,
    check_apart,
    check_ours,
    foreign,
    identity,
    is_marked,
    json_lines_of,
    listing,
    marked,
    move,
    parquet_of,
)


def test_a_listing_knows_what_was_changed_and_what_came_since(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a", "b", "deep/c", "gone"):
        (tmp_path / name).write_text(name)
    written = listing(tmp_path, ["b"])
    assert list(written) == ["a", "deep/c", "gone"]
    assert changed(tmp_path, written) == []
    assert foreign(tmp_path, [*written, "b"]) == []
    (tmp_path / "a").write_text("A")  # of the same length
    (tmp_path / "gone").unlink()
    (tmp_path / "deep/c").unlink()
    (tmp_path / "deep/c").symlink_to("../b")
    for name in (".git/refs/heads", "deep/empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".git/HEAD").touch()
    (tmp_path / "deep/d").touch()
    (tmp_path / "link").symlink_to(".git")
    assert changed(tmp_path, written) == ["a", "deep/c"]
    assert foreign(tmp_path, [*written, "b"]) == [".git", "deep/d", "deep/empty", "link"]


def test_what_is_moved_keeps_its_place_and_empty_folders(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for name in (".git/refs/heads", "deep"):
        (here / name).mkdir(parents=True)
    (here / "deep/d").write_text("d")
    there.mkdir()
    move([".git", "deep/d"], here, there)
    assert (there / ".git/refs/heads").is_dir()
    assert (there / "deep/d").read_text() == "d"
    assert [path.name for path in here.rglob("*")] == ["deep"]


@pytest.mark.parametrize("size", [0, 5, PIECE, PIECE + 1, 9 * PIECE])
def test_an_identity_is_of_the_content(tmp_path: Path, size: int) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(size))
    before = identity(path)
    assert before.startswith(f"{size} ")
    for place in {0, size // 4, size // 2, size - 1} if size else ():
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\1")
        assert identity(path) != before
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\0")
        assert identity(path) == before


def test_only_what_is_ours_is_written_over(tmp_path: Path) -> None:
    ours = parquet_of("count")
    path = tmp_path / "words.parquet"
    check_ours(path, ours, "file of word counts")  # not there
    path.touch()
    check_ours(path, ours, "file of word counts")  # empty
    frame = pl.DataFrame({"word": ["가"]})
    frame.write_parquet(path, metadata={"kovocab": json.dumps({"verb": "count"})})
    check_ours(path, ours, "file of word counts")
    for write in (
        lambda: path.write_text("가\n"),
        lambda: path.write_bytes(b"PAR1" * 10),
        lambda: frame.write_parquet(path),
        lambda: frame.write_parquet(path, metadata={"kovocab": "{"}),
        lambda: frame.write_parquet(path, metadata={"kovocab": "5"}),
        lambda: frame.write_parquet(path, metadata={"kovocab": json.dumps({"verb": "predict"})}),
    ):
        write()
        before = path.read_bytes()
        with pytest.raises(ArtefactError, match=r"words\.parquet is there and is no file of word counts that kovocab"):
            check_ours(path, ours, "file of word counts")
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ('{"a": 1, "b": 2}\n{"b": null, "a": 2}\n', True),
        ('{"a": 1}\n', False),
        ('{"a": 1, "b": 2, "text": "가"}\n', False),
        ('{"a": 1, "b": 2}\nno\n', False),
        ('["a", "b"]\n', False),
        ("[" * 100_000, False),
    ],
)
def test_lines_are_ours_by_their_keys(tmp_path: Path, text: str, ours: bool) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    assert json_lines_of(["a", "b"])(path) is ours


def test_a_marked_text_is_ours_until_it_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "fit.yaml"
    path.write_text(marked("a: 1\n"))
    assert is_marked(path)
    path.write_text(marked("a: 1\n").replace("1", "2", 1))
    assert not is_marked(path)
    path.write_text("a: 1\n")
    assert not is_marked(path)
    path.write_bytes(b"\xff")
    assert not is_marked(path)


def test_one_file_is_not_read_and_written_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.txt").write_text("가\n")
    Path("link").symlink_to("d.txt")
    Path("hard").hardlink_to("d.txt")
    for name in ("d.txt", "./d.txt", str(tmp_path / "d.txt"), "link", "hard"):
        with pytest.raises(UsageError, match=f"out is {name}, which is read as corpus; wanted a file of its own"):
            check_apart({"out": name}, {"corpus": ["d.txt"]})
    with pytest.raises(UsageError, match="report is new, which is written too as out"):
        check_apart({"out": "new", "tokens": None, "report": "new"}, {})
    check_apart({"out": "new", "tokens": None}, {"corpus": ["d.txt"], "add_to": ["link"]})
    Path("loop").symlink_to("loop")
    check_apart({"out": "new"}, {"corpus": ["loop"]})  # whoever reads it says what is wrong with it
    with pytest.raises(UsageError, match="out is loop, which is read as corpus"):
        check_apart({"out": "loop"}, {"corpus": ["loop"]})
