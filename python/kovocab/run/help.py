"""The help of plan, fit, validate, test and predict: the settings that people use, a line each, then all of them.

Lightning's settings are found in its classes, which take seconds to load with all that they need. So `help.txt` holds
what the six verbs print, and is printed where it was recorded with the versions that are installed: `make help-text`
records it, a test compares it, and with other versions help is made as it always was.
"""

import json
import re
import shutil
import textwrap
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

_STAGES, _HELD_OUT = ("fit", "plan"), ("validate", "test", "predict")
_ALL = (*_STAGES, *_HELD_OUT)

USED: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "the run": {
        "model.model": (_ALL, "folder that expand, or a stage of a run, left; for plan a base too"),
        "schedule": (_STAGES, "eeve (seven stages), kosolar (one) or a list: what trains when"),
        "run": (("fit",), "folder of the stages and logs; the same command again goes on in it"),
        "checkpoint_every": (("fit",), "optimizer steps between checkpoints"),
        "evaluate_stages": (("fit",), "measure bits per byte of each source at the end of each stage"),
        "predictions": (("predict",), "the Parquet file to write"),
    },
    "the machine that is planned for": {
        "gpu": (("plan",), "by its name, H100 say; also the default where the trainer is not a cpu's"),
        "memory": (("plan",), "of a device, 24GiB say; by default the GPU's"),
        "mfu": (("plan",), "share of the GPU's peak that is used"),
        "new_tokens": (("plan",), "of a base, which is not expanded yet"),
        "pad_to_multiple_of": (("plan",), "of a base: what expand will round its rows up to"),
        "log": (("plan",), "text, a table, or json, an object a stage"),
    },
    "data": {
        "data.sources": (_ALL, "[{name: web, corpus: web.jsonl, weight: 1}]: what is mixed, by weight"),
        "data.length": (_ALL, "tokens of a block"),
        "data.batch_size": (_ALL, "blocks in a batch of a device"),
        "data.validation_share": (("fit", *_HELD_OUT), "share of the documents to hold out"),
        "data.tokens_dir": (("fit", *_HELD_OUT), "folder of the packed tokens, which runs may share"),
        "data.special_tokens_in_text": (
            ("fit", *_HELD_OUT),
            "what a literal </s> in a document is: text, or that token",
        ),
    },
    "stages": {
        "defaults.lr": (("fit",), "highest learning rate of a stage"),
        "defaults.steps": (_STAGES, "length of a stage, in optimizer steps"),
        "defaults.tokens": (_STAGES, "or in tokens"),
        "stages": (_STAGES, "settings of single stages, by number: --stages.1.lr 1e-4"),
    },
    "how it is computed": {
        "trainer.devices": (_ALL, "how many devices"),
        "trainer.strategy": (_ALL, "how a model is spread over them: ddp, or a class that shards"),
        "trainer.precision": (_ALL, "bf16-mixed, bf16-true or 32-true"),
        "trainer.accumulate_grad_batches": (_STAGES, "batches in an optimizer step"),
        "model.activation_checkpointing": (_STAGES, "compute each layer again instead of keeping what is in it"),
        "model.qlora": (_STAGES, "hold layers in 4 bits and train LoRA: --model.qlora.rank 64"),
        "trainer.limit_val_batches": (("validate",), "how many batches, or which share of them"),
        "trainer.limit_test_batches": (("test",), "how many batches, or which share of them"),
        "trainer.limit_predict_batches": (("predict",), "how many batches, or which share of them"),
    },
}
"""The settings that people use, in groups, each with the verbs that it is for."""

REQUIRED = ("model.model", "data.sources")


RECORDED = Path(__file__).with_suffix(".txt")
"""Help as it was recorded: the versions, then the lines, unwrapped, each with the verbs that have it before a bar; none
where all do."""

_ALL_SETTINGS = "\nall settings\n\n"
_FOREIGN = re.compile(r", accelerate\.[\w.]+")
"""What transformers brings along where it is installed, and nobody names as an optimizer."""
_HELP_AT = 24
"""The column where argparse begins what it says of a setting."""


class _Unwrapped(DefaultHelpFormatter):
    """What is said of a setting in one line, however long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"width": 1 << 20})  # type: ignore[no-untyped-call]


class Helpful(ArgumentParser):
    """A parser whose help begins with the settings that people use.

    Attributes:
        verb: Whose; none of the parsers of a class's own settings, which jsonargparse makes.
    """

    verb = ""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """What `--help` prints."""
        return wrapped(self.unwrapped()) if self.verb else super().format_help(*args, **kwargs)

    def unwrapped(self) -> str:
        """The same, with what is said of a setting in one line."""
        self.formatter_class = _Unwrapped
        everything = _FOREIGN.sub("", super().format_help())
        head = f"usage: {self.usage}\n\n{self.description}\n"
        rest = everything[everything.find("options:") :]
        files = (
            "Settings are given as flags, or in YAML files (--config), of which there may be several; later ones win."
        )
        return f"{head}\n{files}\n\n{self._used()}{_ALL_SETTINGS}{rest}"

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


def recorded(verb: str) -> str | None:
    """What `kovocab VERB --help` prints, in the terminal's width; None where it may have changed since `help.txt`."""
    made_with, *lines = RECORDED.read_text(encoding="utf-8").splitlines()
    try:
        for name, _, recorded_with in (package.partition("==") for package in made_with.split()):
            if version(name).partition("+")[0] != recorded_with:
                return None
    except PackageNotFoundError:
        return None
    parts = (line.partition("|") for line in lines)
    return wrapped("".join(f"{line}\n" for verbs, _, line in parts if not verbs or verb in verbs.split()))


def wrapped(text: str) -> str:
    """Help in the terminal's width, as argparse wraps it."""
    width = max(shutil.get_terminal_size().columns - 2 - _HELP_AT, 11)
    head, between, settings = text.partition(_ALL_SETTINGS)
    lines: list[str] = []
    for line in settings.splitlines():
        flag, said = line[:_HELP_AT], line[_HELP_AT:]
        if said and flag.endswith("  "):
            first, *rest = textwrap.wrap(said, width)
            lines += [flag + first, *(" " * _HELP_AT + more for more in rest)]
        else:
            lines.append(line)
    return head + between + "".join(f"{line}\n" for line in lines)
