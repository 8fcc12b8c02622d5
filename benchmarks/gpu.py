"""What an NVIDIA GPU says: the tests marked `gpu`, and what stages cost there, as a section for RESULTS.md.

    make gpu-wheels   # where there are packages: what that machine lacks, in .gpu/
    make gpu          # there, with all of this folder and .gpu/: the section is target/gpu.md
    python benchmarks/gpu.py --device cpu --peak 0.1   # a rehearsal at a tiny size

The machine needs Linux on x86-64, Python 3.12 with torch, lightning, transformers, peft, accelerate, pytest,
pytest-timeout, hypothesis, and nothing that is downloaded. Each part is a process of its own and ended when its share
of the time is up; what did not fit or failed, the section names. The exit code is 1 if anything failed: of a loss or a
way to train, running out of memory is no failure, but a row.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CHILD = ROOT / "benchmarks" / "gpu_parts.py"
SECONDS = 440
"""Of the eight minutes that `make gpu` may take, with what is installed before and ended after."""

PARTS = {"machine": 4, "tests": 8, "freezing": 10, "loss": 2, "plan": 2}
"""Shares of the time; what a part leaves, the later ones have."""

TITLES = {
    "tests": "Exactness: the tests marked `gpu`",
    "freezing": "A stage of training, against the ways to freeze rows",
    "loss": "The loss",
    "plan": "`kovocab plan` beside what was measured",
}
LINES = 30
"""Of the output of a part that failed, how many the driver prints."""


@dataclass
class Found:
    """What a part brought.

    Attributes:
        rows: As `gpu_parts.py` wrote them, the first of them apart.
        opening: The first: names of the rows, heading.
        seconds: That it took.
        fault: Why it ended before its end, if it did.
        in_time: Whether it was let end.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    opening: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    fault: str = ""
    in_time: bool = True

    @property
    def missing(self) -> list[str]:
        """Names of rows that there are none of."""
        there = {row["name"] for row in self.rows}
        return [name for name in self.opening.get("planned", []) if name not in there]

    @property
    def failures(self) -> list[str]:
        """Names of rows that failed."""
        return [row["name"] for row in self.rows if row.get("failed")]

    def failed(self, part: str) -> bool:
        """Whether it is to be told by the exit code: of tests all have to have ended, of a table what had the time."""
        nothing = not any(row.get("outcome", "passed") == "passed" for row in self.rows)
        return bool(self.fault or self.failures or nothing or (part == "tests" and self.missing))


def main(given: Sequence[str] | None = None) -> int:
    arguments = parse(given)
    begin = time.monotonic()
    arguments.folder = arguments.folder.resolve()  # a part stands in the root
    arguments.folder.mkdir(parents=True, exist_ok=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Found] = {}
    todo = ["machine", *arguments.parts]
    for number, part in enumerate(todo):
        left = arguments.seconds - (time.monotonic() - begin)
        share = PARTS[part] / sum(PARTS[other] for other in todo[number:])
        one = found[part] = run(part, left * share, arguments)
        if one.failed(part):
            print(log(part, arguments) or f"{part} said nothing in {one.seconds:.0f} s", file=sys.stderr)
            if part == "machine":
                return 1
        # After each part: whatever ends this process, what was found stays.
        arguments.out.write_text(section(found, time.monotonic() - begin))
        print(f"{part}: {one.seconds:.0f} s, {len(one.rows)} rows{', failed' if one.failed(part) else ''}", flush=True)
    print(arguments.out)
    return int(any(one.failed(part) for part, one in found.items()))


def run(part: str, seconds: float, arguments: argparse.Namespace) -> Found:
    """Run a part in a process of its own, for that long at most."""
    rows = arguments.folder / f"{part}.jsonl"
    rows.unlink(missing_ok=True)
    command = [sys.executable, str(CHILD), part, "--device", arguments.device]
    command += ["--folder", str(arguments.folder)]
    command += ["--peak", str(arguments.peak)] if arguments.peak else []
    command += ["--tests", *arguments.tests] if arguments.tests else []
    begin, found = time.monotonic(), Found()
    with (arguments.folder / f"{part}.log").open("w") as output:
        try:
            ended = subprocess.run(
                command,
                check=False,
                cwd=ROOT,
                env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=max(0.0, seconds),
            )
        except subprocess.TimeoutExpired:
            ended, found.in_time = None, False
    found.seconds = time.monotonic() - begin
    found.opening, *found.rows = read(rows) or [{}]
    if ended is not None and ended.returncode:
        found.fault = f"{(log(part, arguments).splitlines() or [''])[-1]} (exit code {ended.returncode})".strip()
    return found


def section(found: dict[str, Found], seconds: float) -> str:
    """What there is so far, as Markdown."""
    chip = found["machine"].rows[0]
    lines = [f"## On {chip['gpu']}", "", "```sh", chip["command"], "```", ""]
    lines += [f"{time.strftime('%Y-%m-%d')}, {seconds:.0f} s: {chip['line']}."]
    for part, one in found.items():
        if part == "machine":
            continue
        lines += ["", f"### {TITLES[part]}", ""]
        if "about" in one.opening:
            lines += [one.opening["about"], ""]
        if one.rows:
            lines += [one.opening["head"], *(row["line"] for row in one.rows)]
        missing = ", ".join(one.missing) or ("nothing" if one.opening else "all")
        notes = [] if one.in_time else [f"Its time was up after {one.seconds:.0f} s. Not there: {missing}."]
        notes += [f"Failed: {one.fault}. Not there: {missing}."] if one.fault else []
        notes += [f"Failed: {', '.join(one.failures)}."] if one.failures else []
        notes += ["Failed: nothing passed."] if one.failed(part) and not notes else []
        lines += ["", *notes] if notes and one.rows else notes
    return "\n".join(lines).rstrip() + "\n"


def read(path: Path) -> list[dict[str, Any]]:
    """The rows in a file so far; of one whose process was ended the last may be cut off."""
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def log(part: str, arguments: argparse.Namespace) -> str:
    """The end of what a part said."""
    lines = (arguments.folder / f"{part}.log").read_text(errors="replace").rstrip().splitlines()
    return "\n".join(lines[-LINES:])


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "gpu.md", help="the section")
    parser.add_argument("--folder", type=Path, default=ROOT / "target" / "gpu", help="rows and output of each part")
    parser.add_argument("--parts", nargs="+", default=[*TITLES], choices=[*TITLES])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all parts together")
    parser.add_argument("--peak", type=float, metavar="TFLOPS", help="of the chip in bf16, where its name tells none")
    parser.add_argument("--tests", nargs="+", help="instead of those marked `gpu`")
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
