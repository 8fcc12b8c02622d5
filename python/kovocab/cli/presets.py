"""Presets: a file for the whole street, with a part for each verb; a verb is given its own.

`configs/models/` has one for each of some bases: `kovocab expand --config configs/models/phi-2.yaml` reads the part
`expand`, and later files and flags win as ever.
"""

import json
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from kovocab.errors import UsageError
from kovocab.run.stage_plan import TRAINING

_FLAGS = ("--config", "-c")
_NONE = object()
_SLIP = 0.81
"""How alike a key and a verb are from which on it is taken for a slip: fit's `trainer` and `transfer` are at 0.8."""


def own_parts(verb: str, args: list[str], verbs: Collection[str]) -> list[str]:
    """The command line with each preset replaced by its part for `verb`, as JSON, which the parsers take as a file.

    Args:
        verb: Whose; plan, validate, test and predict read fit's part, as they read fit's files.
        args: What follows the verb.
        verbs: All of them. A file is a preset if its keys are nothing but verbs.

    Raises:
        UsageError: a file says a key twice; or a preset has no part for the verb, one that is no settings, or
            something else beside its parts.
    """
    name = "fit" if verb in TRAINING else verb
    found: list[str] = []
    for at, arg in enumerate(args):
        flag, equals, inline = arg.partition("=")
        is_path = at > 0 and args[at - 1] in _FLAGS
        preset = _preset(arg if is_path else inline, verbs) if is_path or (equals and flag in _FLAGS) else None
        if preset is None:
            found.append(arg)
            continue
        path = arg if is_path else inline
        if not isinstance(preset.get(name), dict):
            from kovocab.forms import short

            parts = f"has parts for {', '.join(preset)} and none for {name}"
            said = f": {name} is {short(preset[name])}" if name in preset else f" {parts}"
            raise UsageError(f"--config {path}{said}; wanted {name}: {{SETTING: VALUE}}")
        part = json.dumps(preset[name])
        found.append(part if is_path else f"{flag}={part}")
    return found


def _preset(path: str, verbs: Collection[str]) -> dict[str, Any] | None:
    """What a file holds, if it is a preset; of what cannot be read the parser says what is wrong."""
    said = _read(path)
    if not isinstance(said, dict):
        return None
    parts = [key for key in said if key in verbs]
    others = {key: get_close_matches(str(key), verbs, n=1, cutoff=_SLIP) for key in said if key not in verbs}
    slips = [key for key, near in others.items() if near and isinstance(said[key], dict)]
    if others and not slips and all(isinstance(said[key], str | None) for key in parts):
        return None  # settings, one of which is called as a verb: count's report, evaluate's export
    if slips or (parts and others):
        key = (slips or list(others))[0]
        meant = f" (is it {others[key][0]}?)" if others[key] else ""
        beside = f", beside the part{'s' * (len(parts) > 1)} for {', '.join(parts)}" if parts else ""
        raise UsageError(
            f"--config {path}: {key} is no verb{meant}{beside}; wanted parts for verbs alone, or a verb's settings "
            "alone"
        )
    return said if parts else None


def _read(path: str) -> Any:
    """What a file of YAML holds; None of what is none.

    Raises:
        UsageError: it says a key twice, of which the parser would take the last in silence.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        said = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    if (twice := next(_twice(node, set()), None)) is not None:
        line = f"in line {twice.start_mark.line + 1}"
        raise UsageError(f"--config {path}: {twice.value} is there a second time, {line}; wanted each key once")
    return said


def _twice(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    """The keys that a mapping has already, wherever they are."""
    if id(node) in seen:  # what an alias repeats
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _twice(part, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    yield key
                keys.add((key.tag, key.value))
            yield from _twice(value, seen)


def place_of(setting: str, verb: str, args: list[str]) -> str | None:
    """Which of a command line's files says a setting, by its dotted name: the last; None where none does."""
    name = "fit" if verb in TRAINING else verb
    paths = [after for flag, after in pairwise(args) if flag in _FLAGS]
    paths += [arg.partition("=")[2] for arg in args if arg.partition("=")[0] in _FLAGS and "=" in arg]
    for path in reversed(paths):
        said = _read(path)
        for root in ((name, *setting.split(".")), setting.split(".")):
            found = said
            for key in root:
                found = found.get(key, _NONE) if isinstance(found, dict) else _NONE
            if found is not _NONE:
                return path
    return None
