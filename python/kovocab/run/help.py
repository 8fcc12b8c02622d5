"""The help of plan, fit, validate, test and predict: the settings that people use, a line each, then all of them."""

import json
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from kovocab.flags.used import REQUIRED, USED


class HelpfulParser(LightningArgumentParser):
    """Lightning's parser; its help begins with the settings that people use.

    Attributes:
        verb: Whose; none of the parsers of a class's own settings, which jsonargparse makes.
    """

    verb = ""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """What `--help` prints."""
        everything: str = super().format_help(*args, **kwargs)
        if not self.verb:
            return everything
        head = f"usage: {self.usage}\n\n{self.description}\n"
        rest = everything[everything.find("options:") :]
        files = (
            "Settings are given as flags, or in YAML files (--config), of which there may be several; later ones win."
        )
        return f"{head}\n{files}\n\n{self._used()}\nall settings\n\n{rest}"

    def _used(self) -> str:
        """The groups, a line a setting, with its default."""
        defaults = self.get_defaults()
        lines = []
        for group, settings in USED.items():
            own = {key: line for key, (verbs, line) in settings.items() if self.verb in verbs}
            if own:
                rows = [f"  --{key:<32} {line}{_default(key, defaults.get(key))}\n" for key, line in own.items()]
                lines.append("".join([f"{group}:\n", *rows]))
        return "\n".join(lines)


def _default(key: str, value: Any) -> str:
    if key in REQUIRED:
        return " (required)"
    if value is None or value == {}:
        return ""
    return f" (default: {value if isinstance(value, str) else json.dumps(value)})"
