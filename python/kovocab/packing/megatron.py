"""Token files as Megatron-LM reads them: an `.idx` beside each `.bin`, which is as it is.

The layout is that of Megatron's `MMapIndexedDataset`: a magic word, version 1, the code of the ids' type, how many
documents there are and how many bounds of them; the tokens of each, the byte at which each begins, and the bounds.
"""

import struct
from pathlib import Path

import numpy as np

from kovocab.artefact import new_file
from kovocab.errors import ArtefactError, CorpusError
from kovocab.ownership import identity
from kovocab.packing.packed import PackedSource
from kovocab.packing.splitting import PARTS
from kovocab.record import RECORD, as_json

MAGIC = b"MMIDIDX\x00\x00"
CODES = {"<u2": 8, "<u4": 4}
"""Of the ids' type: uint16, and int32, since Megatron has no uint32; ids are below 2^31."""


LONGEST = (1 << 31) - 1
"""Tokens of a document, whose number is an int32 there."""


def write_indexes(packed: PackedSource) -> list[Path]:
    """Write `train.idx` and `validation.idx` into the folder of token files; a document is a sequence there.

    They are files of the folder's record then. Where they are there nothing changes; a kill leaves whole ones, or none.

    Raises:
        ArtefactError: one cannot be written, or another file has its name.
        CorpusError: a document is too long for the layout.
    """
    written, listed = [], dict(packed.record["files"])
    for part in PARTS:
        path = packed.folder / f"{part}.idx"
        ends = packed.ends(part).astype(np.int64)
        begins = np.concatenate([np.zeros(1, np.int64), ends])
        lengths = np.diff(begins)
        if (longest := int(lengths.max(initial=0))) > LONGEST:
            raise CorpusError(f"{path}: a document has {longest:,} tokens; wanted at most {LONGEST:,} for Megatron-LM")
        size = packed.tokens(part).itemsize
        with new_file(path) as beside:
            with beside.open("wb") as file:
                file.write(MAGIC + struct.pack("<QBQQ", 1, CODES[packed.record["dtype"]], len(ends), len(begins)))
                file.write(lengths.astype("<i4").tobytes())
                file.write((begins[:-1] * size).astype("<i8").tobytes())
                file.write(np.arange(len(begins), dtype="<i8").tobytes())
            listed[path.name] = identity(beside)
            if path.exists() and identity(path) != listed[path.name]:
                raise ArtefactError(f"{path} is not the index that kovocab writes, and is in the way; move it")
        written.append(path)
    if listed != packed.record["files"]:
        packed.record["files"] = dict(sorted(listed.items()))
        with new_file(packed.folder / RECORD) as beside:
            beside.write_bytes(as_json(packed.record, indent=2) + b"\n")
    return written
