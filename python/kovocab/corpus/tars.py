"""The files in a `.tar`, and what damages one; `TarFile` itself takes most of that for the end."""

import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Self

from kovocab.corpus.archives import LINK, NO_FILE, Member


def tar_members(data: Iterator[bytes], name: str) -> Iterator[Member]:
    """The files of a tar, from its bytes; each is to be read before the next. Of tars that were joined, those of each.

    Raises:
        tarfile.TarError: it is none, is damaged, or is cut off, its end mark too.
    """
    with _Tar.open(fileobj=_Joined(data), mode="r|", tarinfo=_Header, ignore_zeros=True) as archive:  # type: ignore[call-overload]
        for info in archive:
            archive.members = []  # which it keeps, for all of an archive
            if not info.isdir():
                fault = None if info.isfile() else LINK if info.issym() or info.islnk() else NO_FILE
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
