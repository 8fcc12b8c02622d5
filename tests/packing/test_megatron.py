"""An index as Megatron-LM has it, read by its published layout alone."""

import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

from kovocab.errors import ArtefactError, CorpusError
from kovocab.ownership import changed
from kovocab.packing import megatron
from kovocab.packing.megatron import write_indexes
from kovocab.packing.packed import PackedSource
from kovocab.packing.splitting import PARTS
from kovocab.packing.token_files import Packing, Source, TokenFiles
from kovocab.record import read_record
from support.base import corpus
from support.byte_level import load

DTYPES = {1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 6: "f8", 7: "f4", 8: "u2"}
"""By the code that stands in an index: Megatron's `DType`."""


def read(prefix):
    """The documents of an indexed dataset: lengths, pointers in bytes and bounds of documents, from an `.idx`."""
    with open(f"{prefix}.idx", "rb") as file:  # noqa: PTH123
        assert file.read(9) == b"MMIDIDX\x00\x00"
        version, code, sequences, bounds = struct.unpack("<QBQQ", file.read(25))
        assert version == 1
        lengths = np.frombuffer(file.read(4 * sequences), "<i4")
        pointers = np.frombuffer(file.read(8 * sequences), "<i8")
        documents = np.frombuffer(file.read(8 * bounds), "<i8")
        assert not file.read()
    assert documents.tolist() == list(range(sequences + 1))
    dtype = np.dtype(f"<{DTYPES[code]}")
    with open(f"{prefix}.bin", "rb") as file:  # noqa: PTH123
        for pointer, length in zip(pointers.tolist(), lengths.tolist(), strict=True):
            file.seek(pointer)
            yield np.frombuffer(file.read(length * dtype.itemsize), dtype).tolist()
        assert not file.read()


@pytest.mark.parametrize("name", ["mistral_v1", "qwen2"])
def test_each_document_is_a_sequence(name, data, ko_small, tmp_path):
    texts = [*ko_small.head(300), "끝"]
    (tmp_path / "tokenizer.json").write_text(load(data, name).text)
    source = Source("ko", str(corpus(tmp_path, "ko", texts)))
    packed = TokenFiles(tmp_path, tmp_path / "tokens", Packing(64, 0.1)).pack(source)
    assert [path.name for path in write_indexes(packed)] == ["train.idx", "validation.idx"]
    for part in PARTS:
        wanted = np.split(packed.tokens(part), packed.ends(part)[:-1].astype(int))
        assert list(read(packed.folder / part)) == [one.tolist() for one in wanted]
        assert len(wanted) == packed.record[part]["documents"] > 10
    said = read_record(packed.folder, "pack")
    assert said["files"].keys() == {path.name for path in packed.folder.iterdir()} - {"kovocab.json"}
    assert not changed(packed.folder, said["files"])
    files = {path: path.stat().st_mtime_ns for path in packed.folder.glob("*.bin")}
    write_indexes(packed)  # again, over its own
    tokens = TokenFiles(tmp_path, tmp_path / "tokens", Packing(64, 0.1))
    assert tokens.pack(source).folder == packed.folder
    tokens.check_contents(source)
    assert files == {path: path.stat().st_mtime_ns for path in packed.folder.glob("*.bin")}
    assert read_record(packed.folder, "pack") == said


KILLS = """
import os, signal, sys
from kovocab.packing import megatron
from kovocab.packing.packed import PackedSource
from pathlib import Path

folder, name = sys.argv[1:]
before = megatron.new_file

def struck(path):
    if path.name == name:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(path)

megatron.new_file = struck
megatron.write_indexes(PackedSource(Path(folder)))
"""


def pack(data, ko_small, tmp_path):
    (tmp_path / "tokenizer.json").write_text(load(data, "mistral_v1").text)
    source = Source("ko", str(corpus(tmp_path, "ko", ko_small.head(300).to_list())))
    return TokenFiles(tmp_path, tmp_path / "tokens", Packing(64, 0.1)).pack(source)


@pytest.mark.parametrize("name", ["train.idx", "validation.idx", "kovocab.json"])
def test_a_kill_between_leaves_what_the_same_call_makes_whole(name, data, ko_small, tmp_path):
    packed = pack(data, ko_small, tmp_path)
    command = [sys.executable, "-c", KILLS, str(packed.folder), name]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    left = PackedSource(packed.folder)
    assert "train.idx" not in left.record["files"]
    write_indexes(left)
    assert not changed(packed.folder, read_record(packed.folder, "pack")["files"])
    assert len(list(read(packed.folder / "train"))) == packed.record["train"]["documents"]
    assert len(list(packed.folder.iterdir())) == 8


def test_another_file_of_that_name_stays(data, ko_small, tmp_path):
    packed = pack(data, ko_small, tmp_path)
    (packed.folder / "validation.idx").write_text("mine")
    with pytest.raises(ArtefactError, match=r"validation\.idx is not the index that kovocab writes"):
        write_indexes(packed)
    assert (packed.folder / "validation.idx").read_text() == "mine"
    assert "train.idx" not in read_record(packed.folder)["files"]


def test_a_document_of_too_many_tokens_is_refused(data, ko_small, tmp_path, monkeypatch):
    packed = pack(data, ko_small, tmp_path)
    monkeypatch.setattr(megatron, "LONGEST", 100)
    with pytest.raises(CorpusError, match=r"a document has [\d,]+ tokens; wanted at most 100 for Megatron-LM"):
        write_indexes(packed)
    assert not list(packed.folder.glob("*.idx"))
