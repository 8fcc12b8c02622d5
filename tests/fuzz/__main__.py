"""Runs one fuzzing target: `python -m fuzz readers --inputs 1000000`, with `tests` on the path; `make fuzz` runs all.

An input is made from its number alone, so that one that fails is made again: `--first NUMBER --inputs 1`. Inputs are
worked on in processes of their own, some ten thousand each: one that ends by a signal is an input found, not the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from fuzz.trying import TARGETS, Found, tried

SECONDS = 1800  # that a process may take: more is a hang


def child(target: str, first: int, inputs: int, folder: Path) -> Found | int:
    """What a process of its own found in some inputs, or the number of the signal that ended it."""
    command = [sys.executable, "-m", "fuzz", target, "--first", str(first), "--inputs", str(inputs)]
    one = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "TMPDIR": str(folder)}
    try:
        done = subprocess.run(
            [*command, "--folder", str(folder)],
            env=os.environ | one,
            stdout=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 14
    return Found(*json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else abs(done.returncode)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of a child
    given = parser.parse_args()
    batch = import_module(f"fuzz.{given.target}").BATCH
    if given.folder:
        print(json.dumps(tried(given.target, given.first, given.inputs, given.folder)))
        return 0
    begun, total = time.monotonic(), Found(0, 0, 0)
    chunk = max(batch, 50_000 // batch * batch)
    left = [
        (at, min(chunk, given.first + given.inputs - at))
        for at in range(given.first, given.first + given.inputs, chunk)
    ]
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        while left:
            first, inputs = left.pop(0)
            found = child(given.target, first, inputs, Path(folder))
            if isinstance(found, Found):
                total = Found(*map(sum, zip(total, found, strict=True)))
            elif inputs <= batch:
                total = Found(total.inputs + inputs, total.crashes + 1, total.differences)
                print(f"{given.target} {first}: one of {inputs} inputs ends the process: {found}", file=sys.stderr)
            else:
                half = max(batch, inputs // 2 // batch * batch)
                left[:0] = [(first, half), (first + half, inputs - half)]
            print(f"{total.inputs:,} inputs, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(
        f"{given.target}: {total.inputs:,} inputs, {total.crashes:,} crashes, {total.differences:,} differences, "
        f"{time.monotonic() - begun:.0f} s"
    )
    return int(total.crashes + total.differences > 0)


if __name__ == "__main__":
    sys.exit(main())
