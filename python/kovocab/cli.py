"""The command `kovocab`: a verb, its settings from files and flags, and exit codes that a script can go by.

0: done. 1: the run failed. 2: the command line, a setting or a configuration cannot be used. 130: Ctrl-C.
"""

import logging
import sys
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from importlib.metadata import version

from jsonargparse import ArgumentParser, set_parsing_settings

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
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else 2
    if args[0] == "--version":
        print(version("kovocab"))
        return 0
    verb = args[0]
    try:
        return _run(verb, args[1:])
    except KeyboardInterrupt:
        print(f"kovocab {verb}: stopped", file=sys.stderr)
        return 130
    except KovocabError as error:
        print(f"kovocab {verb}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except (OSError, MemoryError) as error:
        # A full disk, a lost right: what no room can foresee. The message names the file where the system does.
        print(f"kovocab {verb}: {error or 'not enough memory'}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _run(verb: str, args: list[str]) -> int:
    if verb in TRAINING:
        from kovocab import fit

        return fit.main([verb, *args])
    if verb not in VERBS:
        raise UsageError(f"there is no such verb; wanted one of {', '.join([*VERBS, *TRAINING])}")
    function = VERBS[verb]
    # The help of each field of RefineSettings is the line under `Attributes:`.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=f"kovocab {verb}", description=_summary(function), exit_on_error=False, default_env=False
    )
    parser.add_argument("-c", "--config", action="config", help="A YAML file of settings; later ones win.")
    parser.add_function_arguments(function, as_group=False, as_positional=False)
    try:
        settings = parser.parse_args(args)
    except ArgumentError as error:
        raise UsageError(f"{error} (see `kovocab {verb} --help`)") from error
    del settings["config"]
    function(**settings.as_dict())
    return 0


def _summary(function: Callable[..., None]) -> str:
    return (function.__doc__ or "").splitlines()[0]


def _help() -> str:
    summaries = {verb: _summary(function) for verb, function in VERBS.items()} | TRAINING
    order = [*STREET, *(verb for verb in summaries if verb not in STREET)]
    lines = "\n".join(f"  {verb:<11} {summaries[verb]}" for verb in order)
    return (
        "usage: kovocab VERB [--config FILE.yaml] [--SETTING VALUE ...]\n\n"
        "Adapt an English language model to Korean by vocabulary expansion, in the order of the street:\n\n"
        f"{lines}\n\nkovocab VERB --help tells a verb's settings; --print_config prints them as YAML."
    )
