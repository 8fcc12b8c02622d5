"""The files in an archive, a `.zip` or a `.tar`, in its order, without unpacking it to the disk.

Of a tar it is told what damages one: `TarFile` itself takes most of that for the end.
"""

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Self

DAMAGE = (zipfile.BadZipFile, zlib.error, LZMAError, tarfile.TarError, EOFError, NotImplementedError, RuntimeError)
"""What the standard library says of a damaged archive."""

_LINK = "is a link; wanted the file itself"
_NO_FILE = "is neither a file nor a folder; wanted files"
"""The faults of members that are something else."""

_ENCRYPTED, _UTF8, _UNIX = 0x1, 0x800, 3


@dataclass(frozen=True)
class Member:
    """A file in an archive; the part of a `Path` that readers use.

    Attributes:
        archive: What the archive is called.
        path: Where it lies in it.
        size: In bytes.
        fault: Why it cannot be read, if it is known.
        is_file: Whether it is a file, which a link is not, nor a pipe.
    """

    archive: str
    path: PurePosixPath
    size: int
    fault: str | None
    _open: Callable[[], Any]
    is_file: bool = True

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
            no_file = _no_file(info)
            fault = no_file or ("is encrypted; wanted it unpacked" if info.flag_bits & _ENCRYPTED else None)
            path, opener = PurePosixPath(_name(info)), partial(archive.open, info)
            yield Member(name, path, info.file_size, fault, opener, no_file is None)


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


def _no_file(info: zipfile.ZipInfo) -> str | None:
    """What to say of a link, and of a pipe; of a link the archive has where it leads, in place of a text."""
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    if stat.S_ISLNK(mode):
        return _LINK
    return None if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR) else _NO_FILE


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
    """The files of a tar, from its bytes; each is to be read before the next. Of tars that were joined, those of each.

    Raises:
        tarfile.TarError: it is none, is damaged, or is cut off, its end mark too.
    """
    with _Tar.open(fileobj=_Joined(data), mode="r|", tarinfo=_Header, ignore_zeros=True) as archive:  # type: ignore[call-overload]
        for info in archive:
            archive.members = []  # which it keeps, for all of an archive
            if not info.isdir():
                fault = None if info.isfile() else _LINK if info.issym() or info.islnk() else _NO_FILE
                opener = partial(archive.extractfile, info)
                yield Member(name, PurePosixPath(info.name), info.size, fault, opener, info.isfile())


class _Tar(tarfile.TarFile):
    """One that knows whether it has come to an end mark, behind which nothing need follow."""

    ended = False


class _Header(tarfile.TarInfo):
    """One whose damage is told: `TarFile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        assert isinstance(archive, _Tar)
        try:
            header = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # its stub lacks it
            archive.ended = True
            raise
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            if archive.ended:
                raise
            raise tarfile.ReadError("ends without its end mark") from error
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"broken at byte {archive.offset}: {error}") from error
        archive.ended = False
        return header


class _Joined:
    """Pieces of bytes as a file; a read gives less where a piece ends, and so all that stands before damage."""

    def __init__(self, data: Iterator[bytes]) -> None:
        self._data, self._held = data, memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._held:
            piece = next(self._data, None)
            if piece is None:
                return b""
            self._held = memoryview(piece)
        part, self._held = bytes(self._held[:size]), self._held[size:]
        return part
