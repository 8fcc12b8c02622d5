"""What jsonargparse says of a setting that it cannot take, in a line of plain English that names the setting."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

_KEY = re.compile(r'Parser key "([^"]+)": *(.*)')
_INSIDE = re.compile(r"Problem with given class_path '[^']+': (.*)")
_UNION = re.compile(
    r"Does not validate against any of the Union subtypes Subtypes: .*? Errors: (- .*?)"
    r"(?: Given value type: \S+ '[^']*'> Given value: (.*))?"
)
_EXPECTED = re.compile(r"Expected a (.*?)(?:\. Got value: (.*))?")
_NO_PATH = re.compile(r"- Expected a path but .*? either not accessible or invalid (- .*|Problem .*)")
_NO_VALUE = re.compile(r"argument (--[\w.]+)(?:/\S+)?: expected (?:one argument|at least one argument)")
_FILE = re.compile(r"(--config .+?): (Parser key .*)")
_ITEM = re.compile(r"unrecognized arguments: --(\d+[\w.]*).*")
_NO_FILE = re.compile(r"Unable to load config '(.*)' - Parser key .*")
_UNKNOWN = re.compile(r"Option '([^']+)' is not accepted")

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list",
    "dict": "settings by their names",
    "NoneType": "null",
}
"""What a value is to be, by what Python calls it."""


def plain(error: str, args: Sequence[str]) -> str:
    """Say an error of the parser's plainly; one of a kind that is not known is left as it is.

    Args:
        error: What jsonargparse raised.
        args: The command line, which has the numbers of stages.
    """
    said = " ".join(error.split())
    if bare := _NO_VALUE.fullmatch(said):
        return f"{bare[1]} has nothing behind it; wanted its value"
    if of_file := _FILE.fullmatch(said):
        return f"{of_file[1]}: {plain(of_file[2], _stages(of_file[1].removeprefix('--config ')))}"
    path, text, kinds, value = _innermost(f"{said} ''" if said.endswith(" value:") else said)  # of an empty value
    if not path:
        return text
    if unknown := _UNKNOWN.fullmatch(text):
        return f"{_name([*path, unknown[1]], args)}: there is no such setting"
    if no_file := _NO_FILE.fullmatch(text):
        more = f", or the folder of a model by --model.model {no_file[1]}" if path == ["model"] else ""
        return f"{_name(path, args)} is {no_file[1]}; wanted a YAML file of its settings{more}"
    if item := _ITEM.fullmatch(text):
        name = _name(path, args)
        return f"{name}.{item[1]}: there is no such setting; wanted the whole list of {name}, in a file or as JSON"
    if expected := _EXPECTED.fullmatch(text):
        kinds, value = [expected[1]], expected[2]
    if not kinds or value is None:
        return f"{_name(path, args)}: {text}"
    if value == "None":
        return f"{_name(path, args)} is not given"
    wanted = " or ".join(dict.fromkeys(map(_kind, kinds)))
    return f"{_name(path, args)} is {value}; wanted {wanted}"


def no_text(error: UnicodeDecodeError, args: Sequence[str]) -> str:
    """Say of which flag's file it is that it is no text; jsonargparse says so of --config alone."""
    given = [arg.partition("=") if arg.startswith("--") else ("", "", arg) for arg in args]
    for (flag, _, value), before in zip(given, ["", *args], strict=False):
        if value and _begins_with(Path(value), error.object):
            return f"{flag or before} {value}: {error}; wanted YAML in UTF-8"
    return f"{error}; wanted YAML in UTF-8"


def _begins_with(path: Path, data: bytes) -> bool:
    """Whether a file is there and begins so; no more of it is read, since it may be a corpus."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(data)) == data


def _innermost(text: str) -> tuple[list[str], str, list[str], str | None]:
    """What is wrong at the bottom of it: the setting's name, what is said, and of several kinds these and the value."""
    path, kinds, value = list[str](), list[str](), None
    while True:
        if found := _NO_PATH.fullmatch(text):
            text = found[1].removeprefix("- ")
        elif found := _KEY.fullmatch(text):
            path.append(found[1])
            text = found[2]
        elif found := _INSIDE.fullmatch(text):
            text = found[1]
        elif (found := _UNION.fullmatch(text)) or text.startswith("- "):
            # Of one inside another, the outer one's value stands behind the inner one's.
            value = found[2].split(" - Expected a ")[0] if found and found[2] else None
            tried = (found[1] if found else text).removeprefix("- ").split(" - ")
            if ours := [each for each in tried if "; wanted " in each]:
                return [], ours[0], [], None
            kinds = [part[1] for each in tried if (part := _EXPECTED.fullmatch(each))]
            kinds = ["<class 'dict'>"] * any(each.startswith("Not a valid subclass") for each in tried) + kinds
            deeper = [each for each in tried if _INSIDE.fullmatch(each)]
            if not deeper:
                break
            nested = deeper[0].endswith("Errors:")
            text = text[text.index(deeper[0]) :] if nested else deeper[0]
        else:
            break
    return path, text, kinds, value


def _name(path: list[str], args: Sequence[str]) -> str:
    """The setting's name; of one stage with the stage's number, where the command line has it."""
    if len(path) == 2 and path[0] == "stages":
        flags = [re.fullmatch(rf"--stages\.(\d+)\.{re.escape(path[1])}(=.*)?", arg) for arg in args]
        numbers = {flag[1] for flag in flags if flag}
        path = ["stages", numbers.pop() if len(numbers) == 1 else "*", path[1]]
    return ".".join(path)


def _stages(path: str) -> list[str]:
    """The settings of stages in a file, as flags; none where it cannot be read so."""
    try:
        stages = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["stages"]
        return [f"--stages.{number}.{key}" for number, settings in stages.items() for key in settings]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return []


def _kind(type_: str) -> str:
    if found := re.fullmatch(r"<class '(?:.*\.)?(\w+)'>", type_):
        return KINDS.get(found[1], found[1])
    if type_.startswith("list["):
        return KINDS["list"]
    if type_.startswith("dot import path"):
        return KINDS["dict"]
    if found := re.fullmatch(r"typing\.Literal\[(.*)\]", type_):
        return found[1].replace("'", "").replace(", ", " or ")
    return type_
