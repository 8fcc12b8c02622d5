"""A writer that is stopped anywhere leaves the old artefact or the new one, all that is the user's, and no trace."""

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from kovocab import workplace
from kovocab.artefact import check_file, check_replaceable, new_file, new_folder
from kovocab.errors import ArtefactError
from kovocab.record import files_of, read_record, write_record

THEIRS = {".git/HEAD": "ref", "sub/notes": "mine", "my.gguf": "converted", "README.md": "edited"}
OPERATIONS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open", "os.scandir", "os.listdir")


def make(out: Path, text: str) -> None:
    with new_folder(out, overwrite=True, yields=["README.md"]) as folder:
        for name in ("weights", "README.md", "sub/more"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(f"{name} {text}")
        write_record(folder, {"verb": "refine", "text": text})


def write(out: Path, text: str) -> None:
    with new_file(out) as beside:
        beside.write_text(text)


def with_theirs(out: Path) -> None:
    make(out, "old")
    for name, text in THEIRS.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(text)


def stopped(at: int, job: Callable[[], None], *, kill: bool = True) -> bool:
    """Whether a process of its own that does the job was killed, or interrupted, before its `at`th operation."""
    if (child := os.fork()) == 0:
        left, struck = iter(range(at)), []

        def hook(event: str, _: object) -> None:
            if event in OPERATIONS and not struck and next(left, None) is None:
                if kill:
                    os.kill(os.getpid(), signal.SIGKILL)
                struck.append(event)
                raise KeyboardInterrupt

        sys.addaudithook(hook)
        try:
            job()
        finally:
            os._exit(len(struck))
    return os.waitpid(child, 0)[1] != 0


def whole(out: Path) -> str:
    """Of which making the artefact is; all its files are."""
    text = str(read_record(out)["text"])
    for name in ("weights", "sub/more"):
        assert (out / name).read_text() == f"{name} {text}"
    return text


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_whole_wherever_its_writer_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, kill: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(workplace, "_renameat2", lambda: None)
    found, at, between = [], 0, 0
    while True:
        out = tmp_path / str(at) / "out"
        out.parent.mkdir()
        with_theirs(out)
        if not stopped(at, lambda out=out: make(out, "new"), kill=kill):
            break
        if exchange or out.exists():
            found.append(whole(out))  # at every moment
        else:
            with pytest.raises(ArtefactError, match=r"what it was is in .*\.part/old, and comes back"):
                read_record(out)
            between += 1
        check_replaceable(out)
        found.append(whole(out))
        assert {name: (out / name).read_text() for name in THEIRS} == THEIRS
        assert "README.md" not in files_of(out) or found[-1] == "old"
        assert [path.name for path in out.parent.iterdir()] == ["out"]
        at += 1
    assert whole(out) == "new"
    assert at > 40
    assert (between > 0) == (kill and not exchange)
    assert set(found) == {"old", "new"}


@pytest.mark.parametrize("kill", [True, False])
def test_a_file_is_whole_wherever_its_writer_is_stopped(tmp_path: Path, kill: bool) -> None:
    found, at, out = [], 0, tmp_path / "out"
    while True:
        write(out, "old")
        if not stopped(at, lambda: write(out, "new"), kill=kill):
            break
        found.append(out.read_text())
        check_file(out)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        at += 1
    assert out.read_text() == "new"
    assert set(found) == {"old", "new"}


def test_a_place_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("written")
        make(tmp_path / "other", "new")
        write(tmp_path / "out.txt", "new")
        assert (folder / "half").read_text() == "written"
        write_record(folder, {"verb": "refine"})
    assert (tmp_path / "out/half").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out", "out.txt"]


def test_what_has_a_places_name_and_no_mark_is_somebodys(tmp_path: Path) -> None:
    for number, inside in enumerate(({"new": "mine"}, {"kovocab.txt": "mine"}, {"kovocab.txt": "", "new": "mine"})):
        folder = tmp_path / f".out.{number:012x}.part"
        folder.mkdir()
        for name, text in inside.items():
            (folder / name).write_text(text)
    (tmp_path / ".out.00000000000a.part").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    make(tmp_path / "out", "new")
    assert [path for path in sorted(tmp_path.rglob("*")) if tmp_path / "out" not in (path, *path.parents)] == before


def test_where_there_are_no_locks_nothing_is_taken_for_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stopped(12, lambda: make(tmp_path / "out", "new"))
    before = sorted(tmp_path.rglob("*"))

    def refused(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refused)
        write(tmp_path / "file", "new")
        assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "file"])
    check_file(tmp_path / "file")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_place_of_another_machine_is_left_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(workplace, "_machine", lambda: b"on another\n")
        assert stopped(12, lambda: make(tmp_path / "out", "new"))
    before = sorted(tmp_path.rglob("*"))
    check_file(tmp_path / "file")
    assert sorted(tmp_path.rglob("*")) == before
    for path in [*tmp_path.iterdir(), *before]:
        os.utime(path, (0, 0))
    check_file(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_closed_before_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As network file systems want it: they keep what is open by another name."""
    unlink, opened = Path.unlink, []

    def checked(path: Path, missing_ok: bool = False) -> None:
        opened.extend(link for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and link.readlink() == path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", checked)
    make(tmp_path / "out", "new")
    make(tmp_path / "out", "newer")
    write(tmp_path / "file", "new")
    assert opened == []


@pytest.mark.parametrize("before", [False, True])
def test_two_at_once_leave_one_whole_artefact(tmp_path: Path, before: bool) -> None:
    out = tmp_path / "out"
    if before:
        with_theirs(out)
    children = []
    for number in range(8):
        if (child := os.fork()) == 0:
            code = 1
            try:
                for turn in range(6):
                    make(out, f"{number} {turn}")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert whole(out).endswith(" 5")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if before:
        assert {name: (out / name).read_text() for name in THEIRS} == THEIRS


def test_all_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, renamed = [], []
    fsync, replace = os.fsync, Path.replace
    name = "/proc/self/fd/{}".format
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(Path(name(fd)).readlink().name), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (renamed.append(list(synced)), replace(a, b))[1])
    make(tmp_path / "out", "new")
    write(tmp_path / "file", "new")
    assert set(renamed[0]) == {"weights", "README.md", "more", "sub", "kovocab.json", "new"}
    assert renamed[1][len(renamed[0]) :] == [tmp_path.name, "new"]
    assert synced[-1] == tmp_path.name  # the rename itself


def test_a_link_that_leads_nowhere_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for check in (check_file, check_replaceable):
        with pytest.raises(ArtefactError, match="a is a link that leads nowhere"):
            check(tmp_path / "a")
    (tmp_path / "c").symlink_to("sub/new")
    make(tmp_path / "c", "new")
    assert whole(tmp_path / "sub/new") == "new"
    assert (tmp_path / "c").is_symlink()


def test_where_a_disk_is_mounted_is_said_before_the_work(disk: Callable[[str], Path]) -> None:
    with pytest.raises(ArtefactError, match="is where a disk is mounted"):
        check_replaceable(disk("1m"))


def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(disk: Callable[[str], Path]) -> None:
    full = disk("16k")
    with (full / "rest").open("wb", buffering=0) as rest, suppress(OSError):
        while True:
            rest.write(bytes(1024))
    for job in (make, write):
        with pytest.raises(ArtefactError, match=r"out cannot be written: .*No space left"):
            job(full / "out", "new")
        assert [path.name for path in full.iterdir()] == ["rest"]
