"""An index as Megatron-LM has it, read by its published layout alone."""

import struct

import numpy as np
import pytest

from kovocab.packing.megatron import write_indexes
from kovocab.packing.splitting import PARTS
from kovocab.packing.token_files import Packing, Source, TokenFiles
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
    write_indexes(packed)  # again, over its own
    again = TokenFiles(tmp_path, tmp_path / "tokens", Packing(64, 0.1)).pack(source)
    assert again.folder == packed.folder
