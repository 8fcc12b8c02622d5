"""`kovocab count` that keeps often, and kills itself where it comes to a place for the Nth time.

Run as `killable.py PLACE N SETTINGS...`. At the place "ctrl-c" it is interrupted; at a name that is none, never
stopped. It prints which files it reads, and from which document on.
"""

import os
import signal
import sys
import time
from itertools import count

from kovocab import progress
from kovocab.cli import main as cli
from kovocab.counting import count as counts
from kovocab.counting import one_pass, resume, tally, word_counts
from kovocab.machine import memory
from kovocab.reading import blocks, readers

signal.signal(signal.SIGINT, signal.default_int_handler)  # the shell that runs the tests may ignore it
one_pass.EVERY, one_pass._WORTH, progress.EVERY = 0.0, 0, 0.0
one_pass.BATCH_SIZE = blocks.BLOCK = int(os.environ.get("BLOCK", "60_000"))
memory.LEAST = 1
word_counts.ROWS = tally.ROWS = 20_000
end, at, *args = sys.argv[1:]
times = count(1)


def here(place):
    if place == end and next(times) == int(at):
        os.write(1, f"killed at {place}\n".encode())
        os.kill(os.getpid(), signal.SIGINT if end == "ctrl-c" else signal.SIGKILL)


def wrapped(room, name, place):
    function = getattr(room, name)

    def inner(*args):
        here(place)
        return function(*args)

    setattr(room, name, inner)


def told(path, *rest, start=0, **more):
    os.write(1, f"read {path.name} {start}\n".encode())  # at once, whichever thread it is
    return read_file(path, *rest, start=start, **more)


def keeping(self, done, parts):
    here("before")
    keep(self, done, parts)
    here("kept")
    here("ctrl-c")


def slow(self):
    for batch in batches(self):
        time.sleep(0.003)
        yield batch


class Core:
    def __getattr__(self, name):
        if name == "sort_parts":
            here("sort")
        return getattr(core, name)


read_file, keep, batches, core = readers.read_file, resume.Kept.keep, one_pass.Pass.batches, tally._core
readers.read_file, resume.Kept.keep, one_pass.Pass.batches, tally._core = told, keeping, slow, Core()
wrapped(resume.Path, "replace", "renames")  # the file of progress is written, and not yet in its place
wrapped(counts, "write_words", "write")
wrapped(counts._Count, "written", "written")
sys.exit(cli.main(["count", *args]))
