"""Archives: which members are files, and what is said of those that are none."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from support.corpora import archive, raw, read
from support.fuzzing import skipping

LINK = "is a link; wanted the file itself"
NO_FILE = "is neither a file nor a folder; wanted files"


def with_others(suffix: str, others: dict[str, int]) -> bytes:
    """An archive of `a.txt` and members that are links and pipes: their names and modes."""
    out = io.BytesIO()
    if suffix == ".zip":
        with zipfile.ZipFile(out, "w") as zipped:
            zipped.writestr("a.txt", "하나\n")
            for name, mode in others.items():
                info = zipfile.ZipInfo(name)
                info.create_system, info.external_attr = 3, mode << 16
                zipped.writestr(info, "a.txt")
        return out.getvalue()
    types = {stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFIFO: tarfile.FIFOTYPE, stat.S_IFCHR: tarfile.CHRTYPE}
    with tarfile.open(fileobj=out, mode="w") as tar:
        text = tarfile.TarInfo("a.txt")
        text.size = len("하나\n".encode())
        tar.addfile(text, io.BytesIO("하나\n".encode()))
        for name, mode in others.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = types[stat.S_IFMT(mode)], "a.txt"
            tar.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_links_and_pipes_are_told(tmp_path: Path, suffix: str) -> None:
    others = {"b.txt": stat.S_IFLNK | 0o777, "c.jsonl": stat.S_IFIFO | 0o600, "d.txt.gz": stat.S_IFCHR | 0o600}
    path = raw(tmp_path, suffix, with_others(suffix, others))
    found, faults = skipping(path)
    assert found == ["하나"]
    assert list(map(str, faults)) == [
        f"{path}!b.txt: {LINK}",
        f"{path}!c.jsonl: {NO_FILE}",
        f"{path}!d.txt.gz: {NO_FILE}",
    ]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_links_and_pipes_that_would_not_be_read_are_passed_over(tmp_path: Path, suffix: str) -> None:
    others = {"latest": stat.S_IFLNK | 0o777, ".b.txt": stat.S_IFLNK | 0o777, "run.sock": stat.S_IFIFO | 0o600}
    assert read(raw(tmp_path, suffix, with_others(suffix, others))) == ["하나"]


def test_a_hard_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("하나\n")
    (tmp_path / "b.txt").hardlink_to(tmp_path / "a.txt")
    path = tmp_path / "corpus.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("a.txt", "b.txt"):
            tar.add(tmp_path / name, name)
    found, faults = skipping(path)
    assert (found, list(map(str, faults))) == (["하나"], [f"{path}!b.txt: {LINK}"])


def test_what_a_system_without_modes_has_in_their_place_is_none(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        info = zipfile.ZipInfo("a.txt")
        info.create_system, info.external_attr = 0, stat.S_IFLNK << 16
        zipped.writestr(info, "하나\n")
    assert read(raw(tmp_path, ".zip", out.getvalue())) == ["하나"]


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_members_of_a_folder_above_are_read_and_hidden_ones_are_not(tmp_path: Path, suffix: str) -> None:
    names = ["../a.txt", "./b.txt", "c/../../d.txt", "/e.txt", ".f.txt", "..g.txt", "./.h/i.txt", "../.j/k.txt"]
    path = raw(tmp_path, suffix, archive(suffix, {name: f"{name}\n".encode() for name in names}))
    assert read(path) == names[:4]
