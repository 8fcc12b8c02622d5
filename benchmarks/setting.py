"""What benchmarks share: the base tokenizer, the processors, and that a debug build is not timed."""

import os
import subprocess
import sys
from pathlib import Path

import mistral_common

from kovocab import _core
from kovocab.machine.threads import threads_of

BASE = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
THREADS = threads_of(None)


def check_build() -> None:
    if _core.build_profile != "release":
        raise SystemExit("this is a debug build; install kovocab with `make build` and try again")


def measured_by(checkout: Path, script: str, *arguments: object) -> list[float]:
    """The numbers that `script` prints last, run in a process of its own with the build of another `checkout`."""
    places = os.pathsep.join([str(checkout / "python"), str(Path(script).parent)])
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": places}, check=True, stdout=subprocess.PIPE)
    return [float(number) for number in done.stdout.decode().splitlines()[-1].split()]
