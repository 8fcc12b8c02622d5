"""The settings of a verb, from flags and YAML files: its function's signature is its command line."""

from argparse import ArgumentError
from collections.abc import Callable
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, set_parsing_settings

from kovocab.errors import UsageError
from kovocab.flags.config_file import ConfigFile
from kovocab.flags.lists import as_written, is_flag, stray
from kovocab.flags.messages import plain


def parse(verb: str, function: Callable[..., int | None], args: list[str]) -> dict[str, Any]:
    """Read what `function` is to be called with.

    Raises:
        UsageError: a setting is missing, unknown or of the wrong kind, or a file cannot be read; names it.
        SystemExit: 0 after --help and --print_config.
    """
    parser = parser_of(verb, function)
    given, held = as_written(parser, _with_folder(function, args))
    try:
        settings = parser.parse_args(given)
    except ArgumentError as error:
        if said := stray(str(error), verb, first_of(function)):
            raise UsageError(f"{said} (see `kovocab {verb} --help`)") from error
        raise UsageError(f"{plain(str(error), given)} (see `kovocab {verb} --help`)") from error
    del settings["config"]
    found = {name: held.get(name, value) for name, value in settings.as_dict().items()}
    for name, value in found.items():
        if name not in _MAY_BE_EMPTY and "" in (value if isinstance(value, list) else [value]):
            raise UsageError(f"{name} is empty (a shell variable that is not set?); wanted text, or no such flag")
    return found


_MAY_BE_EMPTY = ("prompts", "column")


def parser_of(verb: str, function: Callable[..., int | None]) -> ArgumentParser:
    """The parser of a verb's settings."""
    parser = ArgumentParser(
        prog=f"kovocab {verb}",
        description=(function.__doc__ or "").partition("\n")[0],
        epilog=_epilog(verb, first_of(function)),
        exit_on_error=False,
        default_env=False,
        allow_abbrev=False,  # else a misspelt --colum is --column
    )
    parser.add_argument("-c", "--config", action=ConfigFile, help="A YAML file of settings; later ones win.")
    # The help of each field of RefineSettings is the line under `Attributes:`. Only here: Lightning's parser would look
    # for such lines in all of the Trainer's source, and a `fit` in the same process take four times as long for it.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    try:
        parser.add_function_arguments(function, as_group=False, as_positional=False)
    finally:
        set_parsing_settings(docstring_parse_attribute_docstrings=False)
    return parser


_BARE = ("run", "tokenizer", "words", "folder", "shell")
"""What may stand bare behind a verb that begins with it."""


def _with_folder(function: Callable[..., Any], args: list[str]) -> list[str]:
    """A folder may stand bare behind a verb that begins with one: `kovocab evaluate RUN`, `kovocab curate DIR`."""
    first = first_of(function)
    return [f"--{first}", *args] if first and args and not is_flag(args[0]) else args


def first_of(function: Callable[..., Any]) -> str | None:
    """The setting that may stand bare behind the verb."""
    first = next(iter(get_type_hints(function)), None)
    return first if first in _BARE else None


def _epilog(verb: str, first: str | None) -> str:
    said = "Of a list several values follow the flag, up to the next one: --config a.yaml b.yaml."
    bare = f" What stands bare comes first: kovocab {verb} {first.upper()} --SETTING VALUE." if first else ""
    return said + bare
