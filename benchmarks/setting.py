"""What benchmarks share: the base tokenizer, the processors, and that a debug build is not timed."""

from pathlib import Path

import mistral_common

from kovocab import _core
from kovocab.machine.threads import threads_of

BASE = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
THREADS = threads_of(None)


def check_build() -> None:
    if _core.build_profile != "release":
        raise SystemExit("this is a debug build; install kovocab with `make build` and try again")
