"""Decisions in a file that is only appended to: what its readers find, whoever writes to it, and whatever breaks."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import polars as pl
import pytest

from kovocab.curating import decided as module
from kovocab.curating.decided import Decided
from kovocab.errors import UsageError
from kovocab.refining.candidates import Decisions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.csv"


def test_what_is_decided_is_what_refine_reads(path: Path) -> None:
    decided = Decided(path)
    assert not path.exists()
    assert decided.decide([("▁그리고", "keep"), ("그", "drop")]) == 2
    assert decided.decide([("그", "keep"), ("▁그리고", None), ("없다", None)]) == 4
    assert decided.by_token == {"그": "keep"}
    assert path.read_text() == "token,decision\n▁그리고,keep\n그,drop\n그,undo\n그,keep\n▁그리고,undo\n"
    assert Decisions.load(path) == decided.decisions() == Decisions(keep=frozenset(["그"]))
    assert Decided(path).by_token == decided.by_token
    assert decided.changes == [("▁그리고", "keep"), ("그", "drop"), ("▁그리고", None), ("그", "keep")]


def test_the_same_again_is_not_written(path: Path) -> None:
    decided = Decided(path)
    decided.decide([("가", "keep")])
    before = path.read_bytes()
    assert decided.decide([("가", "keep"), ("나", None)]) == 1
    assert path.read_bytes() == before


def test_random_decisions_end_where_a_dict_ends(path: Path) -> None:
    """Two servers in turn, against the obvious twin."""
    random, twin = Random(3), {}
    servers = [Decided(path), Decided(path)]
    for _ in range(300):
        token, said = random.choice("가나다라마"), random.choice(["keep", "drop", None])
        random.choice(servers).decide([(token, said)])
        twin[token] = said
        if said is None:
            del twin[token]
    for server in servers:
        server.look()
        assert server.by_token == twin
    assert Decisions.load(path) == servers[0].decisions()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "token,decision\n나,drop\n"),
        ("token,decision\n가,keep", "token,decision\n가,keep\n나,drop\n"),
        ("decision,note,token\r\nkeep,,가\r\n", "decision,note,token\r\nkeep,,가\r\ndrop,,나\r\n"),
        ("\ufefftoken,decision\n 가,keep\n", "\ufefftoken,decision\n 가,keep\n나,drop\n"),
    ],
)
def test_somebody_s_own_file_is_gone_on_with(path: Path, before: str, after: str) -> None:
    path.write_bytes(before.encode())
    Decided(path).decide([("나", "drop")])
    assert path.read_bytes() == after.encode()
    assert "나" in Decisions.load(path).drop


def test_what_an_editor_does_is_seen_and_not_lost(path: Path) -> None:
    decided = Decided(path)
    decided.decide([("가", "keep"), ("나", "keep")])
    other = path.with_name("other")
    other.write_text("token,decision\n나,drop\n다,keep\n")
    other.replace(path)
    decided.decide([("라", "keep")])
    assert decided.by_token == {"나": "drop", "다": "keep", "라": "keep"}
    assert Decisions.load(path) == decided.decisions()
    path.unlink()
    assert decided.look() == len(decided.changes)
    assert decided.by_token == {}


def test_files_that_are_none(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"d.parquet cannot be appended to; wanted a CSV"):
        Decided(tmp_path / "d.parquet")
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere; wanted one to write d.csv in"):
        Decided(tmp_path / "nowhere/d.csv")
    path.write_text("word,count\n가,3\n")
    with pytest.raises(UsageError, match="has no column 'decision'"):
        Decided(path)
    path.unlink()
    decided = Decided(path)
    decided.decide([("가", "keep")])
    with path.open("a") as file:
        file.write("가,perhaps\n")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="row 2: '가', 'perhaps'"):
        decided.decide([("나", "keep")])
    assert path.read_bytes() == before


def test_a_disk_that_refuses_leaves_no_half_of_a_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided = Decided(path)
    decided.decide([("가", "keep")])
    before = path.read_bytes()
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(OSError, match="a part of a decision"):
        decided.decide([("나", "keep")])
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert decided.by_token == {"가": "keep"}
    decided.decide([("나", "keep")])
    assert Decisions.load(path).keep == {"가", "나"}


def test_what_an_editor_adds_as_the_disk_refuses_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided = Decided(path)
    decided.decide([("가", "keep")])
    write = os.write

    def short(file: int, data: bytes) -> int:
        taken = write(file, data[:3])
        with path.open("a") as editor:
            editor.write("\n다,drop\n")
        return taken

    monkeypatch.setattr(module.os, "write", short)
    with pytest.raises(OSError, match="a part of a decision"):
        decided.decide([("나", "keep")])
    assert path.read_text().endswith("\n다,drop\n")


def test_it_is_on_the_disk_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(module.os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    decided = Decided(path)
    decided.decide([("가", "keep")])
    assert path.stat().st_size in synced


SERVER = """
import sys
from pathlib import Path
from kovocab.curating.decided import Decided
decided = Decided(Path(sys.argv[1]))
for at in range(100):
    both = ["keep", "drop"][(at + int(sys.argv[3])) % 2]
    decided.decide([(f"{sys.argv[2]}{chr(0xAC00 + at)}", "keep"), ("함께", both)])
"""


def test_two_servers_at_once_lose_nothing(path: Path) -> None:
    """And of a token of which both decide all the time the file says one thing."""
    command = [sys.executable, "-c", SERVER, str(path)]
    runs = [subprocess.Popen([*command, name, at]) for name, at in (("하", "0"), ("나", "1"))]
    assert [run.wait() for run in runs] == [0, 0]
    found = Decisions.load(path)
    assert len(found.keep - {"함께"}) == 200
    assert ("함께" in found.keep) != ("함께" in found.drop)


def test_threads_lose_nothing(path: Path) -> None:
    decided = Decided(path)
    threads = [
        threading.Thread(target=lambda name=name: [decided.decide([(f"{name}{at}", "keep")]) for at in range(50)])
        for name in "가나다라"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decided.by_token) == 200
    assert pl.read_csv(path).height == 200
