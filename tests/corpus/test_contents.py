"""What identifies files, and whether they are still what they were."""

import json
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from kovocab.corpus import contents
from kovocab.corpus.contents import Standing, State, identities, whole_hashes
from kovocab.corpus.files import files
from kovocab.errors import CorpusError
from kovocab.reading.documents import fingerprint

WHEN = "while it was looked at"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file most of which no sample holds."""
    path = tmp_path / "large.txt"
    path.write_text("가나다라 마바사\n" * 50_000)
    return path


def edit(path: Path, at: int = 300_000) -> None:
    """Change one byte in place; a third of the way in no sample looks."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def as_before(path: Path, stat: os.stat_result) -> None:
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_hash_of_all_misses_no_edit(large: Path) -> None:
    sampled, whole = identities([large]), identities([large], whole_hashes)
    assert whole == [
        {
            "name": "large.txt",
            "bytes": large.stat().st_size,
            "contents": blake2b(large.read_bytes(), digest_size=16).hexdigest(),
        }
    ]
    edit(large)
    assert identities([large]) == sampled
    assert identities([large], whole_hashes) != whole


def test_it_is_of_the_content_not_of_the_place(large: Path, tmp_path: Path) -> None:
    here = fingerprint(large, hashes=whole_hashes)
    (tmp_path / "far").mkdir()
    there = large.rename(tmp_path / "far" / large.name)
    os.utime(there, (1, 1))
    assert fingerprint(there, hashes=whole_hashes) == here
    assert str(tmp_path) not in json.dumps(here)


def test_many_files_are_hashed_as_one_is(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(100)]
    for number, path in enumerate(paths):
        path.write_text("가" * (number * 1_000))
    assert whole_hashes([*paths, paths[3]]) == [
        blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in [*paths, paths[3]]
    ]
    (tmp_path / "50.txt").unlink()
    with pytest.raises(CorpusError, match=r"50\.txt: cannot be read: No such file"):
        whole_hashes(paths)


def test_a_file_that_is_hashed_while_it_grows(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "PIECE", 100_000)
    add, before = contents._Progress.add, large.stat().st_size

    def grows(self: contents._Progress, size: int) -> None:
        add(self, size)
        if large.stat().st_size == before:
            large.write_bytes(large.read_bytes() + b"more")

    monkeypatch.setattr(contents._Progress, "add", grows)
    with pytest.raises(CorpusError, match=r"large\.txt changed while it was read; wanted files that stand still"):
        whole_hashes([large])


def test_long_hashing_says_where_it_is(
    large: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        whole_hashes([large])
        assert not caplog.messages
        monkeypatch.setattr(contents, "EVERY", 0.0)
        whole_hashes([large])
    assert caplog.messages[0].startswith("reading all to tell it from another: 0.0 GB, ")


def replaced(path: Path) -> None:
    """As rsync does: another file in its place, of the same size and time."""
    stat, data = path.stat(), path.read_bytes()
    beside = path.with_name("beside")
    beside.write_bytes(b"x" + data[1:])
    as_before(beside, stat)
    beside.replace(path)


@pytest.mark.parametrize(
    ("spoil", "how"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "changed"),
        (lambda path: os.truncate(path, 7), "changed"),
        (edit, "changed"),
        (replaced, "changed"),
        (Path.unlink, "was removed"),
    ],
)
def test_what_happens_to_a_file_is_noticed(spoil: Callable[[Path], None], how: str, large: Path) -> None:
    standing = Standing([large])
    standing.check(WHEN)
    spoil(large)
    with pytest.raises(CorpusError) as caught:
        standing.check(WHEN)
    assert str(caught.value) == f"{large} {how} {WHEN}; wanted files that stand still"


def test_an_edit_that_hides_its_time(large: Path) -> None:
    quick, full, stat = Standing([large]), Standing([large], whole_hashes), large.stat()
    edit(large)
    as_before(large, stat)
    quick.check(WHEN)  # it is in no sample
    with pytest.raises(CorpusError, match=r"large\.txt changed"):
        full.check(WHEN)  # the time of the change of the time cannot be hidden
    edit(large)
    edit(large, at=7)
    as_before(large, stat)
    with pytest.raises(CorpusError, match=r"large\.txt changed"):
        quick.check(WHEN)


def test_what_leaves_the_content_alone_is_no_change(large: Path, tmp_path: Path) -> None:
    standing = Standing([large])
    large.chmod(0o600)
    (tmp_path / "another.txt").hardlink_to(large)
    large.rename(tmp_path / "away")
    (tmp_path / "away").rename(large)
    assert State.of(large) != standing.states[0]
    standing.check(WHEN)


def test_another_inode_alone_is_the_file_system_s_doing() -> None:
    state = State(5, 1_000, 17, 2_000)
    assert state.stands([5, 1_000, 18, 2_000])
    assert state.stands([5, 1_000, 17, 2_001])
    for now in ([5, 1_000, 18, 2_001], [5, 1_001, 17, 2_000], [4, 1_000, 17, 2_000], [5, 1_000], None):
        assert not state.stands(now)


def test_files_that_come_and_go(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("가")
    standing = Standing(files(tmp_path))
    standing.check(WHEN, listed=files(tmp_path))
    (tmp_path / "c.txt").write_text("가")
    standing.check(WHEN)
    with pytest.raises(CorpusError, match=r"c\.txt was added while"):
        standing.check(WHEN, listed=files(tmp_path))
    (tmp_path / "c.txt").unlink()
    (tmp_path / "a.txt").unlink()
    with pytest.raises(CorpusError, match=r"a\.txt was removed while"):
        standing.check(WHEN, listed=files(tmp_path))
