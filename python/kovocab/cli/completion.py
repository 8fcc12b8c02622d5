"""Completion for shells: a script that knows each verb and flag, what a flag may be, and that the rest are paths.

shtab writes it from a parser of argparse's own, so that nothing of kovocab runs when somebody presses the tab key.
"""

from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from kovocab.machine.gpus import GPUS
from kovocab.run.help import USED
from kovocab.run.stage_plan import TRAINING
from kovocab.stages import STAGES

Shell = Literal["bash", "zsh", "fish"]

_CHOICES = {"schedule": (*STAGES,), "gpu": (*GPUS,), "log": ("text", "json")}
"""What settings of a run may be, where that is a few words."""


def script(shell: Shell, verbs: Mapping[str, Callable[..., Any]], summaries: Mapping[str, str]) -> str:
    """What a shell is to read, or to find in a file.

    Args:
        shell: Whose.
        verbs: The function of each verb, but for those of a run.
        summaries: What each verb does, those of a run too, in the order in which they are listed.
    """
    import shtab

    written: str = shtab.complete(_parser(verbs, summaries), shell)
    return written


def _parser(verbs: Mapping[str, Callable[..., Any]], summaries: Mapping[str, str]) -> ArgumentParser:
    parser = ArgumentParser("kovocab", add_help=False)
    parser.add_argument("--help", "-h", action="help", help="the verbs")
    parser.add_argument("--version", action="version", help="the version")
    parsers = parser.add_subparsers()
    for verb, summary in summaries.items():
        of_verb = parsers.add_parser(verb, help=_plain(summary), description=_plain(summary), add_help=False)
        of_verb.add_argument("--help", "-h", action="help", help="the settings")
        _takes_files(of_verb.add_argument("--config", "-c", help="files of settings"))
        of_verb.add_argument("--print_config", action="store_true", help="the settings as YAML")
        if verb in TRAINING:
            _add_run(of_verb, verb)
        else:
            _add_settings(of_verb, verb, verbs[verb])
        if verb != "completion":  # what follows the first value of a list, which shtab would take every flag for too
            _takes_files(of_verb.add_argument("more", nargs="*", help="more of a list"))
    return parser


def _add_run(parser: ArgumentParser, verb: str) -> None:
    """The settings of a run that people use; Lightning's others, some hundreds, are in --help_all."""
    for settings in USED.values():
        for name, (verbs, said, _) in settings.items():
            if verb in verbs:
                choices = _CHOICES.get(name)
                added = parser.add_argument(f"--{name}", choices=choices, help=_plain(said))
                if choices is None:
                    _takes_files(added)


def _add_settings(parser: ArgumentParser, verb: str, function: Any) -> None:
    """The settings of a verb, as its own parser has them."""
    from kovocab.cli.arguments import first_of, parser_of

    for action in parser_of(verb, function)._actions:
        flags = [flag for flag in action.option_strings if not flag.endswith("+")]
        type_ = getattr(action, "_typehint", None)
        if type_ is None or not flags:
            continue
        choices = [choice for member in _members(type_) for choice in _words(member)]
        nargs = "?" if type_ is bool else None
        added = parser.add_argument(
            *flags, nargs=nargs, choices=choices or None, help=_plain(str(action.help or "")), default=SUPPRESS
        )
        if not choices and any(member in (str, list[str]) for member in _members(type_)):
            _takes_files(added)
    if (first := first_of(function)) is not None:
        choices = [choice for member in _members(get_type_hints(function)[first]) for choice in _words(member)]
        added = parser.add_argument(first, nargs="?", choices=choices or None, help=f"the {first}")
        if not choices:
            _takes_files(added)


def _takes_files(action: Action) -> None:
    import shtab

    action.complete = shtab.FILE  # type: ignore[attr-defined]


def _members(type_: Any) -> tuple[Any, ...]:
    return get_args(type_) if get_origin(type_) not in (None, list, Literal) else (type_,)


def _words(type_: Any) -> list[str]:
    if type_ is bool:
        return ["true", "false"]
    return [str(word) for word in get_args(type_)] if get_origin(type_) is Literal else []


def _plain(said: str) -> str:
    """A line of help, where a shell takes it and argparse does not read it."""
    return said.partition(";")[0].replace("%", "%%").replace("`", "'").strip()
