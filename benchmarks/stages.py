"""The field's experiment: schedule, initialisation, bias, pruning, distillation, on one table at equal cost.

    python benchmarks/stages.py                        # --size tiny, for two cores of a CPU
    python benchmarks/stages.py --size full            # for one GPU
        [--arms a b c d e f g h] [--seeds 1 2 3] [--out target/stages-SIZE] [--seconds N] [--prepare]

A small Llama is trained from nothing on English; from it every arm goes its way to Korean with `kovocab fit`, on the
same text, for as many tokens, with each seed. The same command goes on where it was stopped: what is finished is in
OUT, a JSON file a run. The section for RESULTS.md, of all runs that are there, is OUT/stages.md. `docs/stages.md` says
what is compared and how. `--seconds` begins no run behind that time; the exit code is then 3.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from transformers.utils import logging

from stages_runs import Row, Runs
from stages_setting import ARMS, REFERENCE, ROOT, SIZES
from stages_table import section

DATA = Path(os.environ.get("KOVOCAB_TEST_DATA", ROOT.parent / "shared" / "data"))
UNFINISHED = 3


def main(given: Sequence[str] | None = None) -> int:
    arguments = parse(given)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    begin, size = time.monotonic(), SIZES[arguments.size]
    home = (arguments.out or ROOT / "target" / f"stages-{arguments.size}").resolve()
    home.mkdir(parents=True, exist_ok=True)
    check_same(home, json.dumps(asdict(size)))
    runs = Runs(home, DATA, size, arguments.device)
    if arguments.prepare:
        runs.made.prepare()
        print(home)
        return 0
    base = runs.base()
    print(f"base: {base['seconds']:.0f} s, Korean {base['korean']:.3f}, English {base['english']:.3f} bits a byte")
    # The reference first, and seeds in turn: what is there after any time can be compared.
    for seed in arguments.seeds or size.seeds:
        for name in sorted(arguments.arms, key=lambda arm: arm != REFERENCE):
            if arguments.seconds is not None and time.monotonic() - begin > arguments.seconds:
                print(f"stopped before {name}, seed {seed}; the same command goes on from there")
                return UNFINISHED
            row = runs.run(name, seed)
            last = row["curve"][-1]
            print(
                f"{name}, seed {seed}: {row['seconds']:.0f} s, Korean {last['korean']:.3f}, English "
                f"{last['english']:.3f} bits a byte",
                flush=True,
            )
            write(home, arguments.size, base)
    write(home, arguments.size, base)
    print(home / "stages.md")
    return 0


def write(home: Path, size: str, base: Row) -> None:
    """The section, of all runs that are there."""
    rows = [json.loads(path.read_text()) for path in sorted(home.glob("[a-z]-*.json"))]
    (home / "stages.md").write_text(section(size, base, rows))


def check_same(home: Path, size: str) -> None:
    """See that what is in the folder is of the same size."""
    path = home / "size.json"
    if path.is_file() and json.loads(path.read_text()) != json.loads(size):
        raise SystemExit(f"{home} holds runs of other settings; wanted another --out, or it removed")
    path.write_text(size + "\n")


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny", choices=[*SIZES])
    parser.add_argument("--arms", nargs="+", default=[*ARMS], choices=[*ARMS])
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cuda", "cpu"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--prepare", action="store_true")
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
