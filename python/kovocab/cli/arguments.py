"""The settings of a verb, from flags and YAML files: its function's signature is its command line."""

import json
from argparse import ArgumentError
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings  # type: ignore[attr-defined]

from kovocab.errors import UsageError
from kovocab.run.messages import plain


def parse(verb: str, function: Callable[..., int | None], args: list[str]) -> dict[str, Any]:
    """Read what `function` is to be called with.

    Raises:
        UsageError: a setting is missing, unknown or of the wrong kind, or a file cannot be read; names it.
        SystemExit: 0 after --help and --print_config.
    """
    # The help of each field of RefineSettings is the line under `Attributes:`.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=f"kovocab {verb}",
        description=(function.__doc__ or "").partition("\n")[0],
        exit_on_error=False,
        default_env=False,
        allow_abbrev=False,  # else a misspelt --colum is --column
    )
    parser.add_argument("-c", "--config", action=_Config, help="A YAML file of settings; later ones win.")
    parser.add_function_arguments(function, as_group=False, as_positional=False)
    given, held = _as_written(function, _with_folder(function, args))
    try:
        settings = parser.parse_args(given)
    except ArgumentError as error:
        raise UsageError(f"{plain(str(error), given)} (see `kovocab {verb} --help`)") from error
    del settings["config"]
    return {name: held.get(name, value) for name, value in settings.as_dict().items()}


_BARE = ("run", "tokenizer", "words")
"""What may stand bare behind a verb that begins with it."""


def _with_folder(function: Callable[..., Any], args: list[str]) -> list[str]:
    """A folder may stand bare behind a verb that begins with one: `kovocab evaluate RUN`, `kovocab curate DIR`."""
    first = next(iter(get_type_hints(function)), None)
    bare = args and not args[0].startswith("-") and first in _BARE
    return [f"--{first}", *args] if bare else args


def _as_written(function: Callable[..., Any], args: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Arguments as people write them, as jsonargparse wants them; and lists that it cannot take, by their settings.

    A list is what follows its flag up to the next one, `--corpus a.txt b.txt`, however often the flag is given; a
    shell writes a glob so. A flag with nothing behind it is true.
    """
    types = get_type_hints(function)
    lists = {f"--{name}" for name, type_ in types.items() if _is_list(type_)}
    switches = {f"--{name}" for name, type_ in types.items() if type_ is bool}
    given: list[list[str]] = []
    slots: dict[str, list[str]] = {}  # of a list, where its flag stands last: of flags and files what is last wins
    values: dict[str, list[str]] = {}
    taking: str | None = None
    for at, arg in enumerate(args):
        flag, inline, value = arg.partition("=")
        if flag in lists:
            taking = flag
            slots.get(flag, []).clear()
            slots[flag] = [flag]
            given.append(slots[flag])
            values.setdefault(flag, []).extend([value] if inline else [])
        elif taking is not None and not arg.startswith("-"):
            values[taking].append(arg)
        else:
            taking = None
            bare = arg in switches and (at + 1 == len(args) or args[at + 1].startswith("-"))
            given.append([arg, "true"] if bare else [arg])
    held: dict[str, list[str]] = {}
    for flag, found in values.items():
        # A single one may be a list already, in brackets.
        if not found or (len(found) == 1 and (found[0].startswith("[") or types[flag[2:]] != list[str])):
            slots[flag] += found
            continue
        slots[flag].append(json.dumps(found, ensure_ascii=False).encode(errors="replace").decode())
        if not all(map(_is_text, found)):
            held[flag[2:]] = found
    return [part for slot in given for part in slot], held


def _is_text(value: str) -> bool:
    """Whether an argument is UTF-8; a file's name may be none."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _is_list(type_: Any) -> bool:
    return list[str] in (type_, *get_args(type_))


class _Config(ActionConfigFile):
    """Reads a file of settings; one that is not YAML is named, which jsonargparse does not."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        try:
            super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]
        except (TypeError, ArgumentError) as error:
            raise ArgumentError(None, f"--config {values}: {error}") from error
