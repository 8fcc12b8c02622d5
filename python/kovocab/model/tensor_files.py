"""The weights of a Hugging Face folder a tensor at a time: read, and written in files of a bounded size."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from kovocab.errors import ModelError

FILE_BYTES = 5_000_000_000
"""Largest file, but for a single tensor that is larger."""


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
    except (LookupError, TypeError, AttributeError, ValueError) as error:
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
