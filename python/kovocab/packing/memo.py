"""The memo: what each file was found to hold, so that one that nobody touched is not read again.

It lies with the token files, hidden: absolute paths, with what the system said of each file and a hash of all of it. As
in git's index, a file that was changed in the last seconds before it was read is not noted: another change within the
same tick of its clock would not show.
"""

import json
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from kovocab.artefact import new_file
from kovocab.corpus.contents import Fingerprint, State, hash_into
from kovocab.errors import ArtefactError
from kovocab.workplace import turn

log = logging.getLogger(__name__)

MEMO, LOCK = ".contents.json", ".contents.lock"
ASKED = "KOVOCAB_ASKED"
"""The environment's word on when a run began to ask, in seconds: for the processes that its main one starts."""
RACY = 2_000_000_000
"""Nanoseconds: the coarsest clock of a file system, FAT's."""

_Notes = dict[str, list[Any]]
"""By path: a file's state, the time of the note in seconds, the hash."""


class Memo:
    """`contents.whole_hashes` that remembers what it read, also for other processes.

    Args:
        folder: Where the memo lies.
        fingerprint: "quick": a file that stands as it was noted is not read again; "full": each is, unless another
            process was done with it after it was asked for.
    """

    def __init__(self, folder: Path, fingerprint: Fingerprint) -> None:
        self._folder, self._full = folder, fingerprint == "full"

    def __call__(self, paths: Sequence[Path]) -> list[str]:
        """The hash of each file; errors are those of `whole_hashes`."""
        since = float(os.environ.get(ASKED) or time.time()) if self._full else 0.0
        known = _known(self._read() or {}, paths, since)
        if any(path not in known for path in paths):
            with suppress(OSError):  # it need not be written
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / LOCK).touch()
            # A lock of its own: who writes token files need not wait for hours of reading. Processes of one run ask for
            # the same: one reads, the others wait for it. Where one comes while the lock goes, both read, no more.
            with turn(self._folder / LOCK):
                known = _known(self._read() or {}, paths, since)
                found: dict[Path, tuple[State, str]] = {}
                begun = time.time_ns()
                try:
                    hash_into(found, [path for path in paths if path not in known])
                finally:
                    self._note({path: note for path, note in found.items() if _is_settled(note[0], begun)})
                    with suppress(OSError):
                        (self._folder / LOCK).unlink(missing_ok=True)
            known |= {path: hash_ for path, (_, hash_) in found.items()}
        return [known[path] for path in paths]

    def knows(self, paths: Sequence[Path]) -> bool:
        """Whether no file would have to be read."""
        return not self._full and len(_known(self._read() or {}, paths, 0.0)) == len(set(paths))

    def _read(self) -> _Notes | None:
        """What is noted; None if what is there is damaged, or not ours."""
        path = self._folder / MEMO
        try:
            if not path.exists():
                return {}
            if not path.is_file():
                return None
            said = json.loads(path.read_text(encoding="utf-8"))
            notes: _Notes = said["files"]
            return notes if said["seal"] == _seal(notes) else None
        except (OSError, ValueError, TypeError, LookupError, RecursionError):
            return None

    def _note(self, found: dict[Path, tuple[State, str]]) -> None:
        if not found:
            return
        notes, now = self._read(), time.time()
        if notes is None:
            log.warning("%s is no memo of kovocab's, or a damaged one: nothing is noted", self._folder / MEMO)
            return
        notes = {path: note for path, note in notes.items() if os.path.lexists(path)}
        notes |= {str(path.absolute()): [*state, now, hash_] for path, (state, hash_) in found.items()}
        try:
            with new_file(self._folder / MEMO) as beside:  # in ASCII, since a file's name may be no UTF-8
                beside.write_text(json.dumps({"seal": _seal(notes), "files": notes}), encoding="utf-8")
        except ArtefactError as error:  # who may only read reads again
            log.info("nothing is noted: %s", error)


def _known(notes: _Notes, paths: Sequence[Path], since: float) -> dict[Path, str]:
    """Hashes of the files that are exactly as they were noted, not before the time `since`."""
    known = {}
    for path in paths:
        *state, at, hash_ = notes.get(str(path.absolute()), [None, 0.0, ""])
        if at >= since and hash_ and State.of(path) == tuple(state):
            known[path] = hash_
    return known


def _is_settled(state: State, begun: int) -> bool:
    return max(state.modified, state.changed) < begun - RACY


def _seal(notes: _Notes) -> str:
    """Of what is noted: damage would pass for another content."""
    return blake2b(json.dumps(notes).encode(), digest_size=16).hexdigest()
