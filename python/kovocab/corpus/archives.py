"""The files in an archive, a `.zip` or a `.tar`, in its order, without unpacking it to the disk."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import Any, BinaryIO

DAMAGE = (zipfile.BadZipFile, zlib.error, LZMAError, tarfile.TarError, EOFError, NotImplementedError, RuntimeError)
"""What the standard library says of a damaged archive."""

_ENCRYPTED, _UTF8 = 0x1, 0x800


@dataclass(frozen=True)
class Member:
    """A file in an archive; the part of a `Path` that readers use.

    Attributes:
        archive: What the archive is called.
        path: Where it lies in it.
        size: In bytes.
        fault: Why it cannot be read, if it is known.
    """

    archive: str
    path: PurePosixPath
    size: int
    fault: str | None
    _open: Callable[[], Any]

    def __str__(self) -> str:
        return f"{self.archive}!{self.path}"

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.name

    @property
    def suffix(self) -> str:
        """What follows the last dot of its name, with the dot."""
        return self.path.suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open it for reading bytes; of a tar that is a stream, once, and before the next is asked for."""
        del mode
        try:
            return io.BufferedReader(_Stream(self._open()), 256 << 10)
        except DAMAGE as error:
            raise EOFError(f"broken in the archive: {error}") from error


class _Stream(io.RawIOBase):
    """A member's bytes, whose damage is an EOFError."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._source.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._source.seek(offset, whence))

    def tell(self) -> int:
        return int(self._source.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._source.read(len(buffer))
        except DAMAGE as error:
            raise EOFError(f"broken in the archive: {error}") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


def zip_members(file: BinaryIO, name: str) -> Iterator[Member]:
    """The files of a zip.

    Raises:
        zipfile.BadZipFile: it is none.
    """
    told = _Told(file)
    try:
        opened = zipfile.ZipFile(told)
    except zipfile.BadZipFile as error:
        raise told.error or error from None
    with opened as archive:
        for info in archive.infolist():
            if not info.filename:
                raise zipfile.BadZipFile("a file without a name")
            if info.is_dir():
                continue
            fault = "is encrypted; wanted it unpacked" if info.flag_bits & _ENCRYPTED else None
            yield Member(name, PurePosixPath(_name(info)), info.file_size, fault, partial(archive.open, info))


class _Told:
    """A file that remembers that it could not be read, which `zipfile` takes for damage."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.error = error
            raise


def _name(info: zipfile.ZipInfo) -> str:
    """A name that is not marked as UTF-8 is so on macOS, and cp949 on a Korean Windows."""
    if info.flag_bits & _UTF8:
        return info.filename
    written = info.filename.encode("cp437")
    for encoding in ("utf-8", "cp949"):
        try:
            return written.decode(encoding)
        except UnicodeDecodeError:
            pass
    return info.filename


def tar_members(data: Iterator[bytes], name: str) -> Iterator[Member]:
    """The files of a tar, from its bytes; each is to be read before the next.

    Raises:
        tarfile.TarError: it is none, or is cut off.
    """
    with tarfile.open(fileobj=_Joined(data), mode="r|") as archive:  # type: ignore[call-overload]
        for info in archive:
            archive.members = []  # which it keeps, for all of an archive
            if info.isfile():
                yield Member(name, PurePosixPath(info.name), info.size, None, partial(archive.extractfile, info))


class _Joined:
    """Pieces of bytes as a file."""

    def __init__(self, data: Iterator[bytes]) -> None:
        self._data, self._held = data, b""

    def read(self, size: int) -> bytes:
        parts = [self._held]
        while (missing := size - sum(map(len, parts))) > 0:
            piece = next(self._data, None)
            if piece is None:
                break
            parts.append(piece)
        del missing
        held = b"".join(parts)
        self._held = held[size:]
        return held[:size]
