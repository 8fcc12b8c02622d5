"""One pass over ever more generated text: time, memory, disk and distinct words; carried on to 100 GB and 1 TB.

    python benchmarks/scale.py [--gigabytes 1 2 4 8] [--memory 1GB] [--tokenizer BASE] [--folder DIR] [--keep DIR]
                               [--unbounded]

Each size is a Parquet file (see text.py), which `kovocab count --memory ... --log json` counts in a process of its
own; its peak resident memory is what the system says of that process. `--unbounded` counts each file once more without
a limit, which tells what the limit costs. The rows for 100 GB and 1 TB are not measured but carried on from those that
are: distinct words by the power of the size that fits best, seconds and spilled bytes (of the rows that spilled) by a
straight line, the file by its bytes a word.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import text
from setting import BASE, THREADS, check_build

AHEAD = (100e9, 1e12)

# A process counts what it was before it became another program to its peak: so this small one stands between.
MEASURE = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Row(NamedTuple):
    """What one run of `kovocab count` took; sizes in bytes."""

    size: int
    seconds: float
    resident: float
    distinct: int
    spilled: int
    written: int

    def __str__(self) -> str:
        cells = [f"{self.size / 1e9:g}", f"{self.seconds:.1f}", f"{self.size / self.seconds / 1e6:.0f}"]
        cells += [f"{self.resident / 1e9:.2f}", f"{self.distinct:,}"]
        cells += [f"{self.spilled / 1e9:.2f}", f"{self.written / 1e9:.2f}"]
        return "| " + " | ".join(cells) + " |"


def main() -> None:
    arguments = parse()
    check_build()
    print(f"{THREADS} threads, --memory {arguments.memory}; generated text in Parquet\n")
    print(HEAD, flush=True)
    rows, unbounded = [], []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as made:
        for gigabytes in sorted(arguments.gigabytes):
            corpus = (arguments.keep or Path(made)) / f"generated-{gigabytes:g}GB.parquet"
            text.write([corpus], int(gigabytes * 1e9), arguments.seed)
            size = int(gigabytes * 1e9)
            rows.append(count(corpus, size, arguments.tokenizer, Path(made), "--memory", arguments.memory))
            print(rows[-1], flush=True)
            if arguments.unbounded:
                unbounded.append(count(corpus, size, arguments.tokenizer, Path(made)))
            if not arguments.keep:
                corpus.unlink()
    if unbounded:
        print("\nWithout a limit:\n", HEAD, *unbounded, sep="\n")
    if len(rows) > 1:
        carry_on(rows)


HEAD = """| text, GB | seconds | MB/s | peak resident, GB | distinct words | spilled, GB | word counts, GB |
|--:|--:|--:|--:|--:|--:|--:|"""


def count(corpus: Path, size: int, tokenizer: Path, folder: Path, *flags: str) -> Row:
    out, log = folder / "words.parquet", folder / "log.jsonl"
    arguments = ["count", "--corpus", str(corpus), "--tokenizer", str(tokenizer), "--out", str(out), *flags]
    command = [sys.executable, "-m", "kovocab", *arguments, "--log", "json"]
    with log.open("w") as stderr:
        run = subprocess.run(
            [sys.executable, "-S", "-c", MEASURE, *command],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            check=False,
        )
    lines = log.read_text().splitlines()
    if run.returncode:
        raise SystemExit("\n".join([f"{' '.join(command)} failed:", *lines[-20:]]))
    done = json.loads(lines[-1])
    seconds, resident = map(float, run.stdout.splitlines()[-1].split())
    written = out.stat().st_size
    out.unlink()
    return Row(size, seconds, resident, done["distinct_words"], done["spilled_bytes"], written)


def carry_on(rows: Sequence[Row]) -> None:
    """Print what the rows come to at 100 GB and 1 TB, and by which laws."""
    sizes, seconds, distinct = (np.array([row[i] for row in rows], float) for i in (0, 1, 3))
    exponent, scale = np.polyfit(np.log(sizes), np.log(distinct), 1)
    rate, start = np.polyfit(sizes, seconds, 1)
    if rate <= 0:
        raise SystemExit("more text took less time: too little text, or too busy a machine, to carry on from")
    spilling = [row for row in rows if row.spilled]
    written = rows[-1].written / rows[-1].distinct
    print(f"\nDistinct words grow as bytes ** {exponent:.3f}; {1e-6 / rate:.0f} MB/s after {start:.1f} s; ", end="")
    print(f"{written:.1f} bytes of file a distinct word")
    if len(spilling) > 1:
        share, offset = np.polyfit([row.size for row in spilling], [row.spilled for row in spilling], 1)
        print(f"Past the limit {share:.3f} bytes are spilled a byte of text; memory stands still.")
    else:
        print("Fewer than two rows spilled: what is spilled later, and the memory, is not known.")
    print("\n| text | hours | memory, GB | distinct words, millions | spilled, GB | word counts, GB | disk, GB |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for size in AHEAD:
        words = np.exp(scale) * size**exponent
        cells = [f"{size / 1e9:,.0f} GB", f"{(start + rate * size) / 3600:.2f}"]
        file = words * written
        if len(spilling) > 1:
            spilled = offset + share * size
            memory = max(row.resident for row in rows)
            cells += [f"{memory / 1e9:.2f}", f"{words / 1e6:,.0f}", f"{spilled / 1e9:,.0f}"]
            cells += [f"{file / 1e9:,.1f}", f"{(spilled + file) / 1e9:,.0f}"]
        else:
            cells += ["?", f"{words / 1e6:,.0f}", "?", f"{file / 1e9:,.1f}", "?"]
        print("| " + " | ".join(cells) + " |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--memory", default="1GB", help="as `kovocab count --memory`")
    parser.add_argument("--tokenizer", type=Path, default=BASE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the files lie for a while; spilled words lie beside them")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the text there")
    parser.add_argument("--unbounded", action="store_true", help="count each once more without a limit")
    return parser.parse_args()


if __name__ == "__main__":
    main()
