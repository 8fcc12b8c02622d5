"""The command `kovocab`: a verb, its settings from files and flags, and exit codes that a script can go by.

0: done. 1: the run failed. 2: the command line, a setting or a configuration cannot be used. 3: done, but for what
of the corpus was skipped. 130: Ctrl-C; 143: SIGTERM; 129: SIGHUP.

What takes time to load is loaded inside `main`, where Ctrl-C is heard.
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from kovocab.cli import beside, verbs_of_figures, verbs_of_models, verbs_of_text, verbs_of_tokens
from kovocab.cli.presets import own_parts, place_of
from kovocab.errors import KovocabError, UsageError, training_installed
from kovocab.flags.lists import configs_apart
from kovocab.machine.stopping import PARENT, drop_output, end_with, exit_code, listening, tell
from kovocab.run.stage_plan import TRAINING


def print_completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print what a shell completes kovocab by: verbs, flags, what they may be, and paths.

    Args:
        shell: Whose. `eval "$(kovocab completion bash)"` in ~/.bashrc will do; see docs/publishing.md for the others.
    """
    from kovocab.cli.completion import script

    print(script(shell, VERBS, summaries()))


VERBS: dict[str, Callable[..., int | None]] = {
    "count": verbs_of_text.count_corpus,
    "combine": verbs_of_text.combine_counts,
    "refine": verbs_of_tokens.refine_words,
    "thresholds": verbs_of_tokens.show_thresholds,
    "curate": verbs_of_tokens.curate_tokens,
    "replace": verbs_of_tokens.replace_tokens,
    "expand": verbs_of_models.expand_model,
    "export": verbs_of_models.export_stage,
    "transfer": verbs_of_models.transfer_instruct,
    "push": verbs_of_models.push_export,
    "pack": verbs_of_text.pack_corpus,
    "evaluate": verbs_of_figures.evaluate_models,
    "report": verbs_of_figures.report_run,
    "sample": beside.sample,
    "doctor": beside.tell_doctor,
    "completion": print_completion,
    "quickstart": beside.quickstart,
}

_UNKNOWN = re.compile(r"(?:Option '(.+?)' is not accepted|([\w.]+): there is no such setting)")
"""What the parser says of a setting that it does not know."""

STREET = (
    "count",
    "combine",
    "refine",
    "thresholds",
    "curate",
    "replace",
    "expand",
    "pack",
    "plan",
    "coverage",
    "fit",
    "validate",
    "test",
    "predict",
    "export",
    "transfer",
    "push",
    "evaluate",
    "report",
)


def main(args: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; errors that a user can mend are one line on standard error."""
    args = list(sys.argv[1:] if args is None else args)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell (`>&-`): what is said goes nowhere, and all else as ever
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - to the end
    if parent := os.environ.pop(PARENT, None):  # not for the processes that this one starts
        end_with(int(parent))
    # Other packages' records of what they do, a line an HTTP request say, are not the user's.
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("kovocab").setLevel(logging.INFO)
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # each of its retries is a warning
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it tables weights that do not fit; our error names them
    called = " ".join(["kovocab", *args[:1]])
    try:
        with listening():
            code = _run(args)
        # What a closed pipe refuses is then an error here, and not a warning after the end.
        sys.stdout.flush()
    except KeyboardInterrupt as stopped:
        tell(f"{called}: stopped")
        return exit_code(stopped)
    except KovocabError as error:
        print(f"{called}: {_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # `kovocab --help | head -1`
        drop_output()
        return 1
    except (OSError, MemoryError, OverflowError) as error:
        # A lost right, a full disk: what no room can foresee. The message names the file where the system does.
        print(f"{called}: {_line(error) or 'not enough memory'}", file=sys.stderr)
        return 1
    except RuntimeError as error:  # which Python has for want of a thread, and much else
        if "can't start new thread" not in str(error):
            raise
        print(
            f"{called}: the system gives no more threads, or no memory for one; fewer --threads may do", file=sys.stderr
        )
        return 1
    return code


def _run(args: list[str]) -> int:
    if not args:
        raise UsageError(f"wanted a verb, one of {', '.join(summaries())} (see `kovocab --help`)")
    verb = args[0]
    if verb in ("-h", "--help"):
        print(_help())
        return 0
    if verb == "--version":
        from importlib.metadata import version

        print(version("kovocab"))
        return 0
    if verb not in summaries():
        raise UsageError(f"there is no such verb; wanted one of {', '.join(summaries())}")
    given = configs_apart(args[1:])
    try:
        with training_installed():
            return _run_verb(verb, own_parts(verb, given, summaries()))
    except UsageError as error:
        unknown = _UNKNOWN.match(str(error))
        path = place_of(unknown[1] or unknown[2], verb, given) if unknown else None
        if path is None:
            raise
        raise UsageError(f"--config {path}: {error}") from error
    except SystemExit as end:  # after --help and --print_config
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _run_verb(verb: str, args: list[str]) -> int:
    if verb in TRAINING:
        from kovocab.run.help import EVERYTHING, HELP, short

        if any(flag in args for flag in HELP):
            sys.stdout.write(short(verb))
            return 0
        args = ["--help" if arg == EVERYTHING else arg for arg in args]
        from kovocab.fitting import fit

        fit.main([verb, *args])
        return 0
    from kovocab.cli.arguments import parse

    return VERBS[verb](**parse(verb, VERBS[verb], args)) or 0


def _line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(line.strip() for line in str(error).splitlines()).strip()


def summaries() -> dict[str, str]:
    """The verbs, each with what it does, in the order of the street."""
    summaries = {verb: _summary(function) for verb, function in VERBS.items()} | TRAINING
    return {verb: summaries[verb] for verb in [*STREET, *(verb for verb in summaries if verb not in STREET)]}


def _summary(function: Callable[..., int | None]) -> str:
    return (function.__doc__ or "").partition("\n")[0]


def _help() -> str:
    lines = "\n".join(f"  {verb:<11} {summary}" for verb, summary in summaries().items())
    return (
        "usage: kovocab VERB [--config FILE.yaml] [--SETTING VALUE ...]\n\n"
        "Adapt an English language model to Korean by vocabulary expansion, in the order of the street:\n\n"
        f"{lines}\n\nkovocab VERB --help tells a verb's settings; --print_config prints them as YAML."
    )
