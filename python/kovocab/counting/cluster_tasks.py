"""The tasks of a cluster: what its machines do of a count. `cluster` says which they do, and when.

A map task counts some files as one machine would, in bounded memory, and leaves its words in pieces: what is spilled
is parted by the word's hash, and the parts of one piece go to one reduce task, which combines and sorts what all maps
have of them.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kovocab import _core
from kovocab.corpus.contents import identities, whole_hashes
from kovocab.corpus.faults import Fault
from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.counting.one_pass import READERS
from kovocab.counting.resume import Done
from kovocab.counting.tally import Tally
from kovocab.errors import ClusterError, CorpusError, UsageError
from kovocab.reading.readers import read_files

Listed = tuple[File, dict[str, Any]]
"""A file of the corpus and its identity, see `contents.identities`, with a name that no other has."""


@dataclass(frozen=True)
class Job:
    """What every map task is told.

    Attributes:
        kovocab: The driver's version.
        reading: How documents are found in files.
        skip: Whether faults of the corpus are skipped.
        threads: How many threads count.
        memory: Bytes that the task may use.
        pieces: How many pieces the words are left in.
        stop: The name of the actor that is there when the tasks are to stop.
    """

    kovocab: str
    reading: Reading
    skip: bool
    threads: int
    memory: int
    pieces: int
    stop: str


class Stop:
    """An actor that is nothing but there: the tasks that look for its name stop.

    Not `ray.cancel`: a task that ends while the driver cancels it can end the driver's process (Ray 2.60; the race that
    its pull request 54798 tells of).
    """


def count_files(
    job: Job, tokenizer: str, files: Sequence[Listed]
) -> Iterator[bytes | tuple[Done, list[int]] | Exception]:
    """Count the words of some files: the map task.

    Yields:
        The pieces, and then what was counted and the size of each piece in bytes. Or, at the end, what failed: as a
        value, since of a task that raises Ray prints the traceback for each result that nobody asks for.
        CorpusError is raised as on one machine, and where a file is not the one that the driver saw; UsageError where
        another version of kovocab is installed.
    """
    pieces = 0
    try:
        for given in _counted(job, tokenizer, files):
            yield given
            pieces += 1
    except Exception as error:  # whatever it is, the driver raises it
        yield from [b""] * (job.pieces - pieces)
        yield error


def _counted(job: Job, tokenizer: str, files: Sequence[Listed]) -> Iterator[bytes | tuple[Done, list[int]]]:
    if (here := version("kovocab")) != job.kovocab:
        raise UsageError(f"kovocab is {here} on a machine of the cluster; wanted {job.kovocab} on all")
    bpe = _core.Bpe(tokenizer)
    done = Done()
    looked = 0.0

    def look() -> None:
        """Stop if the driver wants it, which is looked up once a second."""
        nonlocal looked
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            if _is_there(job.stop):
                raise ClusterError("the count was stopped")

    for path, identity in files:
        _check_shared(path, identity)
        look()
    names = {path: identity["name"] for path, identity in files}
    with TemporaryDirectory(prefix="kovocab-") as folder, Tally(job.threads, job.memory, Path(folder)) as tally:
        for path, item in read_files(list(names), job.reading, at_once=min(job.threads, READERS), skip=job.skip):
            look()
            seen = done.of(names[path])
            if item is None:
                seen.done = True
            elif isinstance(item, Fault):
                done.skip(item)
            elif len(item):
                if tally.full():
                    tally.spill()
                done.words_between_space += tally.update(bpe, item)
                seen.add(item)
        tally.spill()
        sizes: list[int] = []
        for piece in take_pieces(Path(folder), job.pieces):
            sizes.append(len(piece))
            yield piece
    yield done, sizes


def _is_there(actor: str) -> bool:
    try:
        import_module("ray").get_actor(actor)
    except ValueError:
        return False
    return True


def combine_pieces(*pieces: bytes) -> tuple[bytes, tuple[int, int] | Exception]:
    """Combine the pieces of the same words: the reduce task.

    Ray fetches them before it starts the task, and does lost ones again before. A task that fetched its own would hold
    its processor meanwhile: when a machine is lost, all reduce tasks would wait for maps that have none to run on.

    Returns:
        The words in order, as records, and how many distinct words there are and the sum of their counts; or what
        failed, as `count_files` gives it: OverflowError where a count passes 2^64 - 1.
    """
    try:
        with TemporaryDirectory(prefix="kovocab-") as folder:
            words, in_order = Path(folder, "000.words"), Path(folder, "000.sorted")
            with words.open("wb") as file:
                file.writelines(pieces)
            totals = _core.sort_parts(folder, 1)
            return in_order.read_bytes(), totals
    except Exception as error:
        return b"", error


def take_pieces(folder: Path, count: int) -> Iterator[bytes]:
    """The words that were spilled in `folder`, in `count` pieces, by their parts; what was given is gone from there."""
    parts = sorted(folder.glob("*.words"))
    for number in range(count):
        of_piece = [part for part in parts if int(part.stem) % count == number]
        yield b"".join(part.read_bytes() for part in of_piece)
        for part in of_piece:
            part.unlink()


def _check_shared(path: File, identity: dict[str, Any]) -> None:
    """A file of the same name on a machine's own disk may be another."""
    try:
        hashes = whole_hashes if "contents" in identity else None
        same = identities([path], hashes)[0] | {"name": identity["name"]} == identity
    except OSError:
        same = False
    if not same:
        raise CorpusError(f"{path} is not the same file on every machine; wanted storage that all share")
