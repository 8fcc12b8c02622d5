"""A file of settings, of any verb."""

from argparse import ArgumentError
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]


class ConfigFile(ActionConfigFile):
    """Reads a file of settings; one that is not YAML, or no text, is named, which jsonargparse does not."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Put what the file says into `cfg`; raises ArgumentError, which names the file."""
        try:
            super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]
            _check_empty(parser, values)
        except (TypeError, ArgumentError, UnicodeDecodeError, RecursionError) as error:
            said = str(error)
            if said.startswith("Unexpected config"):  # and then all that stands in it
                said = "no settings by their names; wanted lines like `min_count: 50`"
            if isinstance(error, UnicodeDecodeError):
                said += "; wanted YAML in UTF-8"
            raise ArgumentError(None, f"--config {values}: {said}") from error


def _check_empty(parser: Any, given: str) -> None:
    """Refuse an unknown key of no settings, `modle: {}`, as jsonargparse does one of some; raises ArgumentError."""
    try:
        text = Path(given).read_text(encoding="utf-8")
    except OSError:  # a preset's part, which is given as JSON
        text = given
    said = yaml.safe_load(text)
    known = {action.dest.partition(".")[0] for action in parser._actions}
    for key, value in said.items() if isinstance(said, dict) else ():
        if value == {} and str(key).partition(".")[0] not in known:
            raise ArgumentError(None, f"Option '{key}' is not accepted")
