"""A file of settings, of any verb."""

from argparse import ArgumentError
from typing import Any

from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]


class ConfigFile(ActionConfigFile):
    """Reads a file of settings; one that is not YAML, or no text, is named, which jsonargparse does not."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Put what the file says into `cfg`; raises ArgumentError, which names the file."""
        try:
            super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]
        except (TypeError, ArgumentError, UnicodeDecodeError, RecursionError) as error:
            said = str(error)
            if said.startswith("Unexpected config"):  # and then all that stands in it
                said = "no settings by their names; wanted lines like `min_count: 50`"
            if isinstance(error, UnicodeDecodeError):
                said += "; wanted YAML in UTF-8"
            raise ArgumentError(None, f"--config {values}: {said}") from error
