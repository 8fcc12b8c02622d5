"""Tars: whole, joined, cut anywhere, and damaged anywhere."""

import gzip
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.corpus.archives import tar_members
from support.corpora import archive, fault, numbered, raw, read
from support.fuzzing import fuzzed, skipping

TEXTS = numbered(6)
WHOLE = archive(".tar", {f"{at}.txt": f"{text}\n".encode() for at, text in enumerate(TEXTS)})
ENDS = 1024 * len(TEXTS)  # a header and a block of text each


@pytest.mark.parametrize("at", range(0, len(WHOLE) + 1, 512))
def test_cut_between_blocks(tmp_path: Path, at: int) -> None:
    found, faults = skipping(raw(tmp_path, ".tar", WHOLE[:at]))
    assert found == TEXTS[: at // 1024]
    assert bool(faults) == (at <= ENDS)  # one block of zeros ends it


@fuzzed
@given(at=st.integers(0, len(WHOLE) - 1))
def test_cut_anywhere(tmp_path: Path, at: int) -> None:
    found, faults = skipping(raw(tmp_path, ".tar", WHOLE[:at]))
    assert found == TEXTS[: len(found)]
    assert found == TEXTS or faults


@fuzzed
@given(at=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_a_byte_that_is_another(tmp_path: Path, at: int, flip: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= flip
    found, faults = skipping(raw(tmp_path, ".tar", bytes(damaged)))
    is_text = at < ENDS and at % 1024 >= 512  # of which nothing tells whether it is as it was
    assert found == TEXTS or faults or is_text


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    path = raw(tmp_path, ".tar", WHOLE[: 2 * 1024] + b"x" * 512 + WHOLE[2 * 1024 + 512 :])
    fault(path, f"{path}: after {path}!1.txt: cannot be read: broken at byte 2048: ", "; wanted a whole .tar file")
    path = raw(tmp_path, ".tar", WHOLE[: 2 * 1024])
    fault(path, f"{path}: after {path}!1.txt: cannot be read: ends without its end mark; wanted a whole .tar file")
    fault(raw(tmp_path, ".tar", b""), "ends without its end mark")


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("piece", [1, 511, 10_240, 1 << 20])
def test_whole_tars_in_any_pieces(tmp_path: Path, format_: int, piece: int) -> None:
    names = ["가" * 20 + ".txt", "폴더/" * 20 + "a.txt", "b.txt"]
    path = tmp_path / "a.tar"
    (tmp_path / "text").write_bytes(b"text\n" * 300)
    with tarfile.open(path, "w", format=format_) as tar:
        for name in names:
            tar.add(tmp_path / "text", name)
    data = path.read_bytes()
    found = []
    for member in tar_members((data[at : at + piece] for at in range(0, len(data), piece)), "a.tar"):
        with member.open() as file:
            found.append((str(member.path), file.read()))
    assert found == [(name, b"text\n" * 300) for name in names]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_tars_that_were_joined(tmp_path: Path, suffix: str) -> None:
    other = archive(".tar", {"b.txt": b"other\n"})
    assert read(raw(tmp_path, suffix, WHOLE + archive(".tar", {}) + other)) == [*TEXTS, "other"]
    path = raw(tmp_path, suffix, WHOLE + b"no archive" * 100)
    found, faults = skipping(path)
    assert found == TEXTS
    assert len(faults) == 1
    assert f"cannot be read: broken at byte {len(WHOLE)}: " in str(faults[0])


def test_damage_behind_the_end_mark_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    data = bytearray(gzip.compress(WHOLE))
    data[-5] ^= 1  # of the checksum
    path.write_bytes(data)
    found, (lost,) = skipping(path)
    assert found == TEXTS
    assert str(lost).startswith(f"{path}: after {path}!5.txt: cannot be read: broken at byte ")
