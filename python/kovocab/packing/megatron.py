"""Token files as Megatron-LM reads them: an `.idx` beside each `.bin`, which is as it is.

The layout is that of Megatron's `MMapIndexedDataset`: a magic word, version 1, the code of the ids' type, how many
documents there are and how many bounds of them; the tokens of each, the byte at which each begins, and the bounds.
"""

import struct
from pathlib import Path

import numpy as np

from kovocab.artefact import new_file
from kovocab.packing.packed import PackedSource
from kovocab.packing.splitting import PARTS

MAGIC = b"MMIDIDX\x00\x00"
CODES = {"<u2": 8, "<u4": 4}
"""Of the ids' type: uint16, and int32, since Megatron has no uint32; ids are below 2^31."""


def write_indexes(packed: PackedSource) -> list[Path]:
    """Write `train.idx` and `validation.idx` into the folder of token files; a document is a sequence there.

    Raises:
        ArtefactError: one cannot be written.
    """
    written = []
    for part in PARTS:
        path = packed.folder / f"{part}.idx"
        ends = packed.ends(part).astype(np.int64)
        begins = np.concatenate([np.zeros(1, np.int64), ends])
        size = packed.tokens(part).itemsize
        with new_file(path) as beside, beside.open("wb") as file:
            file.write(MAGIC + struct.pack("<QBQQ", 1, CODES[packed.record["dtype"]], len(ends), len(begins)))
            file.write(np.diff(begins).astype("<i4").tobytes())
            file.write((begins[:-1] * size).astype("<i8").tobytes())
            file.write(np.arange(len(begins), dtype="<i8").tobytes())
        written.append(path)
    return written
