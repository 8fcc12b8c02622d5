"""Presets: a file for the whole street, with a part for each verb; a verb is given its own.

`configs/models/` has one for each of some bases: `kovocab expand --config configs/models/phi-2.yaml` reads the part
`expand`, and later files and flags win as ever.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from kovocab.errors import UsageError
from kovocab.run.stage_plan import TRAINING

_FLAGS = ("--config", "-c")


def own_parts(verb: str, args: list[str], verbs: Collection[str]) -> list[str]:
    """The command line with each preset replaced by its part for `verb`, as JSON, which the parsers take as a file.

    Args:
        verb: Whose; plan, validate, test and predict read fit's part, as they read fit's files.
        args: What follows the verb.
        verbs: All of them. A file is a preset if its keys are nothing but verbs.

    Raises:
        UsageError: a preset has no part for the verb, or one that is no settings.
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
            wanted = f"{name}: {{SETTING: VALUE}}"
            raise UsageError(f"--config {path} has parts for {', '.join(preset)} and none for {name}; wanted {wanted}")
        part = json.dumps(preset[name])
        found.append(part if is_path else f"{flag}={part}")
    return found


def _preset(path: str, verbs: Collection[str]) -> dict[str, Any] | None:
    """What a file holds, if it is a preset; of what cannot be read the parser says what is wrong."""
    try:
        said = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return said if isinstance(said, dict) and said and all(key in verbs for key in said) else None
