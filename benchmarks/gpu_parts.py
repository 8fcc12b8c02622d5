"""The parts of `gpu.py`, each in a process of its own: what is found goes to a file, a JSON line a row, at once.

The first line says which rows there will be, under which heading; each other one has its `name`, its `line` of Markdown
and the numbers, or why there are none: `failed`. What ends the process says so on its last line of output.
"""

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from gpu import read
from measuring import OUT_OF_MEMORY, Row

ROOT = Path(__file__).parents[1]
VERSIONS = ("torch", "triton", "transformers", "lightning", "peft", "bitsandbytes")
SIZES = {
    "cuda": {
        "freezing": "--stages 1 2 3 4 5 6 7 --hidden 2048 --layers 20 --batch 4 --length 2048 --rounds 3",
        "loss": "--positions 8192 --hidden 2048",
    },
    "cpu": {
        "freezing": "--stages 1 2 3 4 5 6 7 --hidden 64 --layers 2 --batch 2 --length 32 --rounds 1",
        "loss": "--positions 64 --hidden 64 --rounds 1",
    },
}
TESTS = {
    "cuda": [
        "-mgpu",
        "tests/whole/test_exactness.py",
        "tests/model/test_qlora.py",
        "tests/model/test_cross_entropy.py",
        "tests/fitting/test_finite.py",
        "tests/freezing/test_digest.py",
    ],
    "cpu": ["tests/whole/test_exactness.py::test_one_process[cpu: llama]"],
}


def machine(arguments: argparse.Namespace) -> Iterator[Row]:
    """The chip and the versions; and that what is measured is this tree."""
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"there is no NVIDIA GPU that torch {torch.__version__} sees here")
    check_tree()
    name, memory = platform.processor() or platform.machine(), ""
    if arguments.device == "cuda":
        name = torch.cuda.get_device_name()
        memory = f"{torch.cuda.get_device_properties(0).total_memory / (1 << 30):.1f} GiB, "
    there = [f"{package} {version}" for package in VERSIONS if (version := version_of(package))]
    said = f"{name}, {memory}Python {platform.python_version()}, {', '.join(there)}"
    yield {"planned": ["machine"]}
    command = "make gpu" if arguments.device == "cuda" else "python benchmarks/gpu.py --device cpu"
    yield {"name": "machine", "line": said, "gpu": name, "command": command}


def check_tree() -> None:
    """See that the kovocab that is imported is the one of this folder."""
    try:
        import kovocab
    except ImportError as error:
        raise SystemExit("kovocab is not installed here; run `make gpu-wheels`, and bring .gpu along") from error
    ours, theirs = ROOT / "python" / "kovocab", Path(kovocab.__file__).parent
    for file in sorted({path.relative_to(home) for home in (ours, theirs) for path in home.rglob("*.py")}):
        if not all((home / file).is_file() for home in (ours, theirs)) or (
            (ours / file).read_bytes() != (theirs / file).read_bytes()
        ):
            raise SystemExit(f"{theirs / file} is not that of this tree; run `make gpu-wheels` again")


def version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def tests(arguments: argparse.Namespace, emit: Callable[[Row], None]) -> None:
    """The tests, each of which is a row."""
    chosen = arguments.tests or TESTS[arguments.device]
    # With other versions of what we use there are other warnings; those of ours are errors in `make test`.
    given = ["-p", "no:cacheprovider", "-W", "default", "-q", *chosen]
    code = pytest.main([f"--rootdir={ROOT}", *given], plugins=[Reporter(emit)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(f"pytest ended with {code!r}")


class Reporter:
    """A plugin of pytest that hands on what became of each test.

    Args:
        emit: What it hands to.
    """

    def __init__(self, emit: Callable[[Row], None]) -> None:
        self._emit = emit

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        names = [item.nodeid for item in session.items]
        self._emit({"planned": names, "head": "| test | | s |\n|---|---|--:|"})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        said: str = report.outcome
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            said = report.longrepr[2].replace("Skipped: ", "skipped: ")
        name = report.nodeid
        row = {"name": name, "line": f"| {name.removeprefix('tests/')} | {said} | {report.duration:.1f} |"}
        self._emit(row | {"outcome": report.outcome} | ({"failed": "failed"} if report.outcome == "failed" else {}))


def freezing(arguments: argparse.Namespace) -> Iterator[Row]:
    """A row for each contender of each stage."""
    from freezing import Table, chip_flops, measured, parse, planned, setting

    given = parse(["--device", arguments.device, *SIZES[arguments.device]["freezing"].split()])
    table = Table(gpu=True, flops=chip_flops(arguments.device, arguments.peak))
    names = [named(stage, contender) for stage, contender in planned(given)]
    autocast = "bf16 autocast over fp32 weights" if arguments.device == "cuda" else "fp32"
    about = (
        f"A Llama of {setting(given)} a step, random both; {autocast}, torch's AdamW, nothing compiled or computed "
        "again. Memory is all that is there at the worst moment of a step. The FLOPs are those that the stage needs."
    )
    yield {"planned": names, "about": about, "head": table.head}
    for row in measured(given):
        yield row | {"name": named(row["stage"], row["contender"]), "line": table.line(row)}


def loss(arguments: argparse.Namespace) -> Iterator[Row]:
    """A row for each loss, for what each of some stages trains."""
    from loss import HEAD, line, measured, parse, planned

    given = parse(["--device", arguments.device, *SIZES[arguments.device]["loss"].split()])
    names = [named(stage, contender) for stage, contender in planned(given)]
    about = f"{given.positions:,} positions, hidden {given.hidden:,}, 40,960 rows, bf16."
    yield {"planned": names, "about": about, "head": HEAD}
    for row in measured(given):
        yield row | {"name": named(row["stage"], row["contender"]), "line": line(row)}


def plan(arguments: argparse.Namespace) -> Iterator[Row]:
    """A row for each stage, with what the part `freezing` measured of it."""
    from forecast import measured
    from freezing import chip, parse
    from kovocab.machine.gpus import MFU

    given = parse(["--device", arguments.device, *SIZES[arguments.device]["freezing"].split()])
    there = {
        row["stage"]: row for row in read(arguments.folder / "freezing.jsonl") if row.get("contender") == "kovocab"
    }
    head = (
        "| stage | peak memory planned, GB | measured | of the planned | tokens/s planned | measured | of the planned |"
    )
    about = f"Tokens a second are planned at {MFU:g} of the chip's peak, which is what `kovocab plan` takes by default."
    yield {
        "planned": [f"stage {number}" for number in given.stages],
        "about": about,
        "head": f"{head}\n|--:|--:|--:|--:|--:|--:|--:|",
    }
    for row in measured(given, chip(arguments.device)):
        found = there.get(row["stage"], {})
        cells = [str(row["stage"])]
        for key, unit, form in (("peak", 1e9, "{:,.2f}"), ("tokens_per_second", 1, "{:,.0f}")):
            planned, measured_ = row[key], found.get(key)
            cells.append("" if planned is None else form.format(planned / unit))
            cells.append("not measured" if measured_ is None else form.format(measured_ / unit))
            cells.append(f"{measured_ / planned:.2f}" if planned and measured_ else "")
        yield row | {"name": f"stage {row['stage']}", "line": f"| {' | '.join(cells)} |"}


def named(stage: int, contender: str) -> str:
    return f"stage {stage}, {contender}"


PARTS = {"machine": machine, "freezing": freezing, "loss": loss, "plan": plan}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["tests", *PARTS])
    parser.add_argument("--device", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--peak", type=float)
    parser.add_argument("--tests", nargs="*")
    arguments = parser.parse_args()
    with (arguments.folder / f"{arguments.part}.jsonl").open("w") as file:

        def emit(row: Row) -> None:
            # Its line says so; of a rival that is no failure.
            if row.get("failed") == OUT_OF_MEMORY and row.get("contender") != "kovocab":
                del row["failed"]
            print(json.dumps(row), file=file, flush=True)

        if arguments.part == "tests":
            tests(arguments, emit)
        else:
            for row in PARTS[arguments.part](arguments):
                emit(row)


if __name__ == "__main__":
    main()
