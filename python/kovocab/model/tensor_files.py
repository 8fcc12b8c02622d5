"""The weights of a Hugging Face folder a tensor at a time: read, and written in files of a bounded size.

Or a block of rows at a time (`Weights`, `write_blocks`), where not even one file of a model fits the memory.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from kovocab.errors import ModelError

FILE_BYTES = 5_000_000_000
"""Largest file, but for a single tensor that is larger."""

_ALIGNED = 8
"""What a file's header is filled up to a multiple of."""


def weight_files(folder: str | Path) -> list[Path]:
    """The safetensors files of `folder`, as transformers goes by them: one, or else those of the index.

    Raises:
        ModelError: there is none, or the index is broken.
    """
    folder = Path(folder)
    whole, index = folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise ModelError(f"{folder} has no weights; wanted {whole.name}, or several files and {index.name}")
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ModelError(f"{index} is no index of weights: {error!r}; wanted a `weight_map`") from error
    return [folder / name for name in sorted(names)]


def read_tensors(folder: str | Path) -> Iterator[tuple[str, Tensor]]:
    """Each tensor in the safetensors files of `folder` with its name, by file and name; one in memory at a time.

    Raises:
        ModelError: see `weight_files`.
    """
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as opened:
            for name in sorted(opened.keys()):
                yield name, opened.get_tensor(name)


def write_tensors(tensors: Iterable[tuple[str, Tensor]], folder: str | Path, file_bytes: int = FILE_BYTES) -> None:
    """Write `tensors` to `folder` as `save_pretrained` lays them out: one file, or several with an index.

    Args:
        tensors: Names and tensors; at most `file_bytes` of them are in memory, and one more.
        folder: Where to.
        file_bytes: Of a file.
    """
    folder = Path(folder)
    held: dict[str, Tensor] = {}
    written: list[list[str]] = []
    total = held_bytes = 0

    def flush() -> None:
        written.append(list(held))
        save_file(held, folder / f"{len(written)}.part", metadata={"format": "pt"})
        held.clear()

    for name, tensor in tensors:
        if held and held_bytes + tensor.nbytes > file_bytes:
            flush()
            held_bytes = 0
        held[name] = tensor.detach().cpu().contiguous()
        held_bytes += tensor.nbytes
        total += tensor.nbytes
    flush()
    if len(written) == 1:
        (folder / "1.part").rename(folder / SAFE_WEIGHTS_NAME)
        return
    names = [f"model-{number:05}-of-{len(written):05}.safetensors" for number in range(1, len(written) + 1)]
    for number, name in enumerate(names, start=1):
        (folder / f"{number}.part").rename(folder / name)
    weight_map = {key: name for name, keys in zip(names, written, strict=True) for key in keys}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / SAFE_WEIGHTS_INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Entry:
    """A tensor as a safetensors file lists it; the dtype is spelled as there (`BF16`)."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int

    def with_rows(self, rows: int) -> "Entry":
        """The same with another number of rows."""
        shape = (rows, *self.shape[1:])
        return replace(self, shape=shape, nbytes=self.nbytes // math.prod(self.shape) * math.prod(shape))


class Weights:
    """The tensors in a folder's safetensors files, opened to be read in part.

    Args:
        folder: With one file, or several and their index.
        stack: Closes them.

    Attributes:
        files: The path of each file, with the names of its tensors in the order in which they lie there.
        entries: Each tensor, by name.
        metadata: What each file says of itself.

    Raises:
        ModelError: see `weight_files`; or a file is none, or two hold a tensor of one name.
    """

    def __init__(self, folder: str | Path, stack: ExitStack) -> None:
        self.files: dict[Path, list[str]] = {}
        self.entries: dict[str, Entry] = {}
        self.metadata: dict[Path, Any] = {}
        self._opened: dict[str, Any] = {}
        for path in weight_files(folder):
            try:
                opened = stack.enter_context(safe_open(path, framework="pt"))  # which holds the header to the file
            except (OSError, SafetensorError) as error:
                raise ModelError(f"{path} cannot be read: {error}; wanted a file of safetensors") from error
            header = _header(path)
            self.metadata[path] = header.pop("__metadata__", None)
            names = sorted(header, key=lambda name: cast("int", header[name]["data_offsets"][0]))
            self.files[path] = names
            for name in names:
                if name in self.entries:
                    raise ModelError(f"{path} holds {name}, which another file of {folder} holds too; wanted it once")
                begin, end = header[name]["data_offsets"]
                self.entries[name] = Entry(header[name]["dtype"], tuple(header[name]["shape"]), end - begin)
                self._opened[name] = opened

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of a tensor; of one without rows all of it."""
        if not self.entries[name].shape:
            return cast("Tensor", self._opened[name].get_tensor(name))
        return cast("Tensor", self._opened[name].get_slice(name)[start:stop])


def write_blocks(
    path: Path, entries: dict[str, Entry], metadata: Any, blocks: Callable[[str], Iterable[Tensor]]
) -> str:
    """Write a safetensors file a block at a time: nothing else of it is held.

    Args:
        path: The file.
        entries: Its tensors, in the order in which they are to lie there.
        metadata: What it says of itself; None for nothing.
        blocks: The rows of each tensor, in order.

    Returns:
        The hash of the file, as `ownership.identity` has it.

    Raises:
        ModelError: the blocks of a tensor are not what its entry says.
    """
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, entry in entries.items():
        offsets = [at, at := at + entry.nbytes]
        header[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": offsets}
    said = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    said += b" " * (-len(said) % _ALIGNED)
    digest = blake2b(digest_size=16)
    with path.open("wb") as file:

        def write(data: Any) -> None:
            file.write(data)
            digest.update(data)

        write(len(said).to_bytes(8, "little"))
        write(said)
        for name, entry in entries.items():
            written = 0
            for block in blocks(name):
                data = block.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
                write(data)
                written += data.nbytes
            if written != entry.nbytes:
                raise ModelError(f"{name} has {written:,} bytes; wanted {entry.nbytes:,}, as its shape says")
    return digest.hexdigest()


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return header
