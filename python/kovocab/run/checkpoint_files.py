"""Checkpoint files: written straight to where they belong, mapped to be read, and looked over before that."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from pickle import PickleError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch.distributed.checkpoint.filesystem import FileSystemReader

from kovocab.errors import ArtefactError
from kovocab.record import Record

METADATA, SEAL = ".metadata", "metadata.crc32"
"""Where a sharded checkpoint says what is where in its other files, and the checksum of that."""


class DirectCheckpointIO(TorchCheckpointIO):
    """Checkpoints without detours, for local files that somebody else renames when they are whole.

    Lightning's own makes the file in memory, as large as weights and optimizer together, then in the folder of
    temporary files, where a killed run leaves it; and each process reads all of it into memory.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`, whose folder is made: a ModelCheckpoint of the user's leaves that to this.

        Raises:
            OSError: as the system says it, a full disk say.
        """
        del storage_options
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with Path(path).open("wb") as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # which torch hides behind an error of its own
                raise error.__context__ from None
            raise

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Map `path`: processes of one machine share what they read."""
        del map_location
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=weights_only)
        return loaded


def seal(folder: Path) -> None:
    """Keep the checksum of a sharded checkpoint's metadata, the one file of it that torch writes without any."""
    (folder / SEAL).write_text(str(zlib.crc32((folder / METADATA).read_bytes())), encoding="utf-8")


def callback_state(path: Path, key: str) -> Record:
    """What a callback left in the checkpoint at `path`, the `settings` of the stage; it is looked over for that.

    Args:
        path: A file, or the folder of a sharded checkpoint.
        key: The callback's `state_key`.

    Raises:
        ArtefactError: it is damaged, or holds nothing of that callback.
    """
    # Lightning keeps what is not sharded in a file of this name.
    file = path / "meta.pt" if path.is_dir() else path
    try:
        _check_archive(file)
        if path.is_dir():
            _check_shards(path)
        state: Record = torch.load(file, map_location="cpu", mmap=True, weights_only=True)["callbacks"][key]
        if not isinstance(state["settings"], dict):
            raise TypeError("it does not say by which settings it was trained")
    except _UNREADABLE as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise ArtefactError(f"{path} cannot be read: {said}; remove it to train the stage from its start") from error
    return state


def _check_archive(file: Path | BytesIO) -> None:
    with ZipFile(file) as archive:  # torch reads over flipped bits; this does not
        if (damaged := archive.testzip()) is not None:
            raise BadZipFile(f"the checksum of {damaged} is wrong")


def _check_shards(folder: Path) -> None:
    """Look over a sharded checkpoint, of which each file holds one archive a tensor, behind each other."""
    if str(zlib.crc32((folder / METADATA).read_bytes())) != (folder / SEAL).read_text(encoding="utf-8"):
        raise BadZipFile(f"the checksum of {METADATA} is wrong")
    per_file: dict[str, list[tuple[int, int]]] = {}
    for stored in FileSystemReader(folder).read_metadata().storage_data.values():
        per_file.setdefault(stored.relative_path, []).append((stored.offset, stored.length))

    def check(name: str) -> None:
        try:
            with (folder / name).open("rb") as file:
                for offset, length in per_file[name]:
                    file.seek(offset)
                    _check_archive(BytesIO(file.read(length)))
        except BadZipFile as error:
            raise BadZipFile(f"{name}: {error}") from error

    with ThreadPoolExecutor() as threads:  # checksums are taken outside of Python's lock
        list(threads.map(check, per_file))


# A zip file can be broken in as many ways, and so can the pickle in it.
_UNREADABLE = (
    OSError, RuntimeError, ValueError, LookupError, TypeError, EOFError, BadZipFile, PickleError,
    struct.error, zlib.error,
    RecursionError, AttributeError,
)  # fmt: skip
