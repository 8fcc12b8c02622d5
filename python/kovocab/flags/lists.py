"""Lists and switches as people write them on a command line, `--corpus a b --untie`, for the parser of any verb."""

import json
import re
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

_CONFIG = ("--config", "-c")
_NUMBER = re.compile(r"-\d+(\.\d+)?")
_NEGATIVE = re.compile(r"-\d")


@dataclass(frozen=True)
class _List:
    """What a list setting takes.

    Attributes:
        text: Whether its elements are text.
        or_one: Whether one value may stand for itself.
    """

    text: bool
    or_one: bool


def as_written(parser: ArgumentParser, args: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Arguments as people write them, as jsonargparse wants them; and lists that it cannot take, by their settings.

    A list is what follows its flag up to the next one, `--corpus a.txt b.txt`; a shell writes a glob so. A flag of
    texts that is given again adds to them, and any other one begins anew. A flag of true or false with nothing behind
    it is true.
    """
    types: dict[str, Any] = {
        flag: action._typehint
        for action in parser._actions
        if hasattr(action, "_typehint")
        for flag in action.option_strings
        if not flag.endswith(("+", ".help"))
    }
    lists = {flag: found for flag, type_ in types.items() if (found := _list_of(type_)) is not None}
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
            before = values.get(flag, []) if lists[flag].text else []
            values[flag] = [*before, *([value] if inline else [])]
        elif taking is not None and not is_flag(arg):
            values[taking].append(arg)
        elif taking is None and at and _NEGATIVE.match(arg) and is_flag(args[at - 1]) and "=" not in args[at - 1]:
            given[-1] = [f"{args[at - 1]}={arg}"]  # else the parser takes what is no plain number, -4GB say, for a flag
        else:
            taking = None
            bare = types.get(arg) is bool and (at + 1 == len(args) or is_flag(args[at + 1]))
            given.append([arg, "true"] if bare else [arg])
    held: dict[str, list[str]] = {}
    for flag, given_ in values.items():
        of = lists[flag]
        # A single one may be a list already, in brackets.
        if not given_ or (len(given_) == 1 and (given_[0].startswith("[") or of.or_one)):
            slots[flag] += given_
            continue
        slots[flag].append(_joined(given_) if of.text else f"[{', '.join(given_)}]")
        if not all(map(_is_text, given_)):
            held[flag[2:]] = given_
    return [part for slot in given for part in slot], held


def configs_apart(args: Sequence[str]) -> list[str]:
    """A command line with a --config before each of its files, `--config a.yaml b.yaml` being allowed."""
    found: list[str] = []
    flag: str | None = None
    for at, arg in enumerate(args):
        if arg.partition("=")[0] in _CONFIG:
            flag = arg.partition("=")[0]
        elif is_flag(arg):
            flag = None
        elif flag is not None and args[at - 1] not in _CONFIG:
            found.append(flag)
        found.append(arg)
    return found


def is_flag(arg: str) -> bool:
    """Whether an argument is a flag; a negative number is a value, and so is a dash."""
    return arg.startswith("-") and arg != "-" and not _NUMBER.fullmatch(arg)


def stray(error: str, verb: str, first: str | None) -> str | None:
    """What to say of values that stand where none is wanted, of what the parser says of them.

    Args:
        error: The parser's.
        verb: The verb.
        first: What may stand bare behind it, if anything.
    """
    left = re.search(r"nrecognized arguments: (.*)", error)
    # A flag is left over where it is unknown, and then it is what is wrong.
    if not left or left[1].startswith("-"):
        return None
    bare = f"`kovocab {verb} {first.upper()}` begins with its {first}" if first else f"{verb} takes flags alone"
    return (
        f"{left[1]} stands behind no flag that takes it; wanted --SETTING VALUE, several values behind the flag of a "
        f"list alone, and {bare}"
    )


def _list_of(type_: Any) -> _List | None:
    members = get_args(type_) if get_origin(type_) in (Union, UnionType) else (type_,)
    lists = [member for member in members if get_origin(member) in (list, Iterable)]
    if not lists:
        return None
    others = [member for member in members if member not in (*lists, NoneType)]
    return _List(any(get_args(member) == (str,) for member in lists), bool(others))


def _joined(values: list[str]) -> str:
    return json.dumps(values, ensure_ascii=False).encode(errors="replace").decode()


def _is_text(value: str) -> bool:
    """Whether an argument is UTF-8; a file's name may be none."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def listed(given: str | list[str] | None) -> list[str]:
    """What may be one, as a list."""
    return [] if given is None else [given] if isinstance(given, str) else given
