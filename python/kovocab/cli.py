"""The command `kovocab`: a verb, its settings from files and flags, and exit codes that a script can go by.

0: done. 1: the run failed. 2: the command line, a setting or a configuration cannot be used. 130: Ctrl-C.
"""

import logging
import os
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings  # type: ignore[attr-defined]

from kovocab import commands
from kovocab.errors import KovocabError, UsageError

VERBS: dict[str, Callable[..., None]] = {
    "count": commands.count,
    "combine": commands.combine,
    "refine": commands.refine,
    "expand": commands.expand,
    "export": commands.export,
    "evaluate": commands.evaluate,
    "sample": commands.sample,
    "quickstart": commands.quickstart,
}

# Lightning's, in `kovocab.fit`, which takes seconds to load.
TRAINING = {
    "fit": "Train an expanded model stage by stage; the same command again resumes.",
    "validate": "Measure the loss of one model folder on the held-out text.",
    "test": "The same, logged as loss/test.",
    "predict": "Write the loss of each held-out block, with its text, to a Parquet file.",
}

STREET = ("count", "combine", "refine", "expand", "fit", "validate", "test", "predict", "export", "evaluate")


def main(args: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; errors that a user can mend are one line on standard error."""
    args = list(sys.argv[1:] if args is None else args)
    # Other packages' records of what they do, a line an HTTP request say, are not the user's.
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("kovocab").setLevel(logging.INFO)
    called = " ".join(["kovocab", *args[:1]])
    try:
        code = _run(args)
        # What a closed pipe refuses is then an error here, and not a warning after the end.
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{called}: stopped", file=sys.stderr)
        return 130
    except KovocabError as error:
        print(f"{called}: {_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # `kovocab --help | head -1`
        _drop_output()
        return 1
    except (OSError, MemoryError) as error:
        # A lost right, a full disk: what no room can foresee. The message names the file where the system does.
        print(f"{called}: {_line(error) or 'not enough memory'}", file=sys.stderr)
        return 1
    return code


def _run(args: list[str]) -> int:
    if not args:
        raise UsageError(f"wanted a verb, one of {', '.join(_summaries())} (see `kovocab --help`)")
    verb = args[0]
    if verb in ("-h", "--help"):
        print(_help())
        return 0
    if verb == "--version":
        print(version("kovocab"))
        return 0
    if verb not in _summaries():
        raise UsageError(f"there is no such verb; wanted one of {', '.join(_summaries())}")
    try:
        _run_verb(verb, args[1:])
    except SystemExit as end:  # after --help and --print_config
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _run_verb(verb: str, args: list[str]) -> None:
    if verb in TRAINING:
        from kovocab import fit

        fit.main([verb, *args])
        return
    function = VERBS[verb]
    # The help of each field of RefineSettings is the line under `Attributes:`.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=f"kovocab {verb}", description=_summary(function), exit_on_error=False, default_env=False
    )
    parser.add_argument("-c", "--config", action=_Config, help="A YAML file of settings; later ones win.")
    parser.add_function_arguments(function, as_group=False, as_positional=False)
    try:
        settings = parser.parse_args(args)
    except ArgumentError as error:
        raise UsageError(f"{_line(error)} (see `kovocab {verb} --help`)") from error
    del settings["config"]
    function(**settings.as_dict())


class _Config(ActionConfigFile):
    """Reads a file of settings; one that is not YAML is named, which jsonargparse does not."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        try:
            super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]
        except (TypeError, ArgumentError) as error:
            raise ArgumentError(None, f"--config {values}: {error}") from error


def _line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(line.strip() for line in str(error).splitlines()).strip()


def _drop_output() -> None:
    """Send what is left to write nowhere: Python writes it at its end, and would say that it could not."""
    with suppress(OSError, ValueError):  # standard output may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _summaries() -> dict[str, str]:
    """The verbs, each with what it does, in the order of the street."""
    summaries = {verb: _summary(function) for verb, function in VERBS.items()} | TRAINING
    return {verb: summaries[verb] for verb in [*STREET, *(verb for verb in summaries if verb not in STREET)]}


def _summary(function: Callable[..., None]) -> str:
    return (function.__doc__ or "").splitlines()[0]


def _help() -> str:
    lines = "\n".join(f"  {verb:<11} {summary}" for verb, summary in _summaries().items())
    return (
        "usage: kovocab VERB [--config FILE.yaml] [--SETTING VALUE ...]\n\n"
        "Adapt an English language model to Korean by vocabulary expansion, in the order of the street:\n\n"
        f"{lines}\n\nkovocab VERB --help tells a verb's settings; --print_config prints them as YAML."
    )
