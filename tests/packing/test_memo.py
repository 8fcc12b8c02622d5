"""The memo: a file is read once, until somebody touches it; what is not ours is neither believed nor written over."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from threading import Thread

import pytest

from kovocab.artefact import new_file
from kovocab.corpus import contents
from kovocab.corpus.contents import whole_hashes
from kovocab.errors import CorpusError
from kovocab.packing import memo
from kovocab.packing.memo import ASKED, MEMO, Memo
from kovocab.workplace import turn


@pytest.fixture
def settled(monkeypatch):
    """Files of this test are noted at once."""
    monkeypatch.setattr(memo, "RACY", 0)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("나무 그늘\n" * 100)
    time.sleep(0.02)  # a tick of the clock
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tokens"


@pytest.fixture
def reads(monkeypatch):
    """Which files were read."""
    read, hash_ = [], contents._hash
    monkeypatch.setattr(contents, "_hash", lambda path, *more: (read.append(path.name), hash_(path, *more))[1])
    return read


def edit(path):
    """One byte, in place, and the time as before."""
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_file_is_read_once_until_somebody_touches_it(path, folder, reads, settled):
    first = Memo(folder, "quick")([path])
    assert first == [blake2b(path.read_bytes(), digest_size=16).hexdigest()]
    assert Memo(folder, "quick")([path, path]) == first * 2
    assert reads == ["a.txt"]
    os.utime(path)
    time.sleep(0.02)
    assert Memo(folder, "quick")([path]) == first
    assert reads == ["a.txt"] * 2
    edit(path)
    time.sleep(0.02)
    assert Memo(folder, "quick")([path]) == whole_hashes([path]) != first
    assert [entry.name for entry in folder.iterdir()] == [MEMO]


def test_full_reads_it_each_time(path, folder, reads, settled):
    for _ in range(2):
        Memo(folder, "full")([path])
    assert len(reads) == 2
    Memo(folder, "quick")([path])
    assert len(reads) == 2


def test_full_reads_it_once_for_all_processes_of_a_run(path, folder, reads, settled, monkeypatch):
    monkeypatch.setenv(ASKED, str(time.time()))
    for _ in range(2):
        Memo(folder, "full")([path])
    assert len(reads) == 1


def test_what_is_gone_is_forgotten(path, folder, reads, settled):
    Memo(folder, "quick")([path])
    other = path.with_name("other.txt")
    other.write_text("other")
    path.unlink()
    time.sleep(0.02)
    Memo(folder, "quick")([other])
    assert [*json.loads((folder / MEMO).read_text())["files"]] == [str(other)]


def test_who_reads_keeps_nobody_from_writing(path, folder, settled, monkeypatch):
    def write():
        with new_file(folder / "train.bin") as beside:
            beside.write_text("tokens")

    def read(found, paths):
        thread = Thread(target=write, daemon=True)
        thread.start()
        thread.join(20)
        assert (folder / "train.bin").exists()
        hash_into(found, paths)

    hash_into = memo.hash_into
    monkeypatch.setattr(memo, "hash_into", read)
    Memo(folder, "quick")([path])


def test_a_file_that_was_just_changed_is_not_noted(path, folder, reads):
    for _ in range(2):
        Memo(folder, "quick")([path])
    assert len(reads) == 2
    assert not (folder / MEMO).exists()
    assert not Memo(folder, "quick").knows([path])


def test_a_new_file_reads_no_other(path, folder, reads, settled):
    Memo(folder, "quick")([path])
    other = path.with_name("b.txt")
    other.write_text("b")
    time.sleep(0.02)
    assert Memo(folder, "quick")([path, other]) == whole_hashes([path, other])
    assert reads[:2] == ["a.txt", "b.txt"]
    assert Memo(folder, "quick").knows([other, path])


def test_what_was_read_before_a_failure_is_noted(path, folder, reads, settled, monkeypatch):
    def read_late(path, buffer, stopped, progress):
        assert path.name != "a.txt" or stopped.wait(20)
        return hash_(path, buffer, stopped, progress)

    hash_ = contents._hash
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with monkeypatch.context() as patch:
        patch.setattr(contents, "_hash", read_late)
        with pytest.raises(CorpusError, match=r"gone\.txt: cannot be read"):
            Memo(folder, "quick")([path, path.with_name("gone.txt")])
    Memo(folder, "quick")([path])
    assert reads.count("a.txt") == 1


@pytest.mark.parametrize("spoil", ["cut", "flipped", "list", "bytes", "empty object", "somebody's", "folder", "deep"])
def test_a_memo_that_is_damaged_or_not_ours(spoil, path, folder, reads, settled, caplog):
    Memo(folder, "quick")([path])
    file = folder / MEMO
    text = file.read_text()
    hash_ = whole_hashes([path])[0]
    if spoil == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(
            {
                "cut": text[: len(text) // 2].encode(),
                "flipped": text.replace(hash_, hash_[::-1]).encode(),
                "list": b"[]",
                "bytes": b"\xff\xfe",
                "empty object": b"{}",
                "somebody's": b'{"files": {"a.txt": 5}, "seal": "none"}',
                "deep": b"[" * 100_000,
            }[spoil]
        )
    before = None if spoil == "folder" else file.read_bytes()
    del reads[:]
    assert Memo(folder, "quick")([path]) == [hash_]
    assert reads == ["a.txt"]
    assert f"{file} is no memo of kovocab's, or a damaged one: nothing is noted" in caplog.messages
    assert file.is_dir() if before is None else file.read_bytes() == before


def test_where_nothing_can_be_noted_all_is_read(path, tmp_path, reads, settled):
    (tmp_path / "file").write_text("in the way")
    for _ in range(2):
        assert Memo(tmp_path / "file", "quick")([path]) == whole_hashes([path])
    assert (tmp_path / "file").read_text() == "in the way"


def test_names_that_are_no_utf_8(tmp_path, folder, reads, settled):
    path = tmp_path / os.fsdecode(b"\xff.txt")
    try:
        path.write_bytes(b"text")
    except OSError as error:
        pytest.skip(f"such a name cannot be had here: {error}")
    time.sleep(0.02)
    for _ in range(2):
        Memo(folder, "quick")([path])
    assert len(reads) == 1
    json.loads((folder / MEMO).read_bytes().decode("ascii"))


@pytest.mark.parametrize("fingerprint", ["quick", "full"])
def test_of_many_at_once_one_reads(fingerprint, tmp_path, folder, reads, settled, monkeypatch):
    """As the processes of one run do."""
    paths = [tmp_path / f"{number}.txt" for number in range(5)]
    for path in paths:
        path.write_text(path.name)
    time.sleep(0.02)
    note = Memo._note

    def slowly(self, found):
        time.sleep(0.2)  # so that the others have asked
        note(self, found)

    monkeypatch.setattr(Memo, "_note", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: Memo(folder, fingerprint)(paths), range(4)))
    assert found == [whole_hashes(paths)] * 4
    assert sorted(reads[:5]) == sorted(path.name for path in paths)
    assert len(reads) == 5 + 5  # and those of the comparison


def test_who_is_killed_lets_go(folder):
    folder.mkdir()
    hold = f"""
import time; from pathlib import Path; from kovocab.workplace import turn
with turn(Path({str(folder)!r})):
    print("held", flush=True); time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        child.kill()
    with turn(folder):
        pass
