"""The help of plan, coverage, fit, validate, test and predict: the settings that people use, a line each.

Lightning's settings are found in its classes, which take seconds to load with all that they need; so what stands here,
defaults too, is said here, and a test holds it to the classes. `--help_all` has them say the rest.
"""

import json
from typing import Any

from jsonargparse import ArgumentParser

from kovocab.run.stage_plan import TRAINING

_TRAINED, _HELD_OUT = ("fit", "plan"), ("validate", "test", "predict")
_STAGES = (*_TRAINED, "coverage")
_PACKED = ("fit", "coverage", *_HELD_OUT)
_ALL = (*_STAGES, *_HELD_OUT)
_REQUIRED = object()
HELP, EVERYTHING = ("-h", "--help"), "--help_all"

USED: dict[str, dict[str, tuple[tuple[str, ...], str, Any]]] = {
    "the run": {
        "model.model": (_ALL, "folder that expand, or a stage of a run, left; for plan a base too", _REQUIRED),
        "schedule": (_STAGES, "eeve (seven stages), kosolar (one) or a list: what trains when", "eeve"),
        "run": (("fit",), "folder of the stages and logs; the same command again goes on in it", "run"),
        "checkpoint_every": (("fit",), "optimizer steps between checkpoints", 100),
        "evaluate_stages": (("fit",), "measure bits per byte of each source at the end of each stage", True),
        "predictions": (("predict",), "the Parquet file to write", "predictions.parquet"),
        "out": (("coverage",), "a Parquet file to write, a row a new token", None),
        "overwrite": (("coverage", "predict"), "replace a file of another model, other data or stages", False),
    },
    "the machine that is planned for": {
        "gpu": (("plan",), "by its name, H100 say; also the default where the trainer is not a cpu's", None),
        "memory": (("plan",), "of a device, 24GiB say; by default the GPU's", None),
        "mfu": (("plan",), "share of the GPU's peak that is used", 0.4),
        "new_tokens": (("plan",), "of a base, which is not expanded yet", 8960),
        "pad_to_multiple_of": (("plan",), "of a base: what expand will round its rows up to", None),
    },
    "data": {
        "data.sources": (_ALL, "[{name: web, corpus: web.jsonl, weight: 1}]: what is mixed, by weight", _REQUIRED),
        "data.length": (_ALL, "tokens of a block", 2048),
        "data.batch_size": (_ALL, "blocks in a batch of a device", 8),
        "data.validation_share": (_PACKED, "share of the documents to hold out", 0.01),
        "data.tokens_dir": (_PACKED, "folder of the packed tokens, which runs may share", "tokens"),
        "data.special_tokens_in_text": (_PACKED, "what a literal </s> in a document is: text, or that token", "text"),
    },
    "stages": {
        "defaults.lr": (("fit",), "highest learning rate of a stage", None),
        "defaults.steps": (_STAGES, "length of a stage, in optimizer steps", None),
        "defaults.tokens": (_STAGES, "or in tokens", None),
        "stages": (_STAGES, "settings of single stages, by number: --stages.1.lr 1e-4", {}),
    },
    "how it is computed": {
        "trainer.devices": (_ALL, "how many devices", "auto"),
        "trainer.strategy": (_ALL, "how a model is spread over them: ddp, or a class that shards", "auto"),
        "trainer.precision": (_ALL, "bf16-mixed, bf16-true or 32-true", None),
        "trainer.accumulate_grad_batches": (_STAGES, "batches in an optimizer step", 1),
        "model.activation_checkpointing": (
            _TRAINED,
            "compute each layer again instead of keeping what is in it",
            False,
        ),
        "model.qlora": (_TRAINED, "hold layers in 4 bits and train LoRA: --model.qlora.rank 64", None),
        "trainer.limit_val_batches": (("validate",), "how many batches, or which share of them", None),
        "trainer.limit_test_batches": (("test",), "how many batches, or which share of them", None),
        "trainer.limit_predict_batches": (("predict",), "how many batches, or which share of them", None),
        "log": (("plan", "coverage"), "text, a table, or json, objects", "text"),
    },
}
"""The settings that people use, in groups: the verbs that each is for, what it is, and its default."""


class Helpful(ArgumentParser):
    """A parser whose help begins with the settings that people use.

    Attributes:
        verb: Whose; none of the parsers of a class's own settings, which jsonargparse makes.
    """

    verb = ""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """What `--help_all` prints."""
        everything: str = super().format_help(*args, **kwargs)
        rest = everything[everything.find("options:") :]
        return f"{first(self.verb)}\nall settings\n\n{rest}" if self.verb else everything


def usage(verb: str) -> str:
    """How a verb is called."""
    return f"kovocab {verb} [--config FILE.yaml ...] [--SETTING VALUE ...]"


def short(verb: str) -> str:
    """What `kovocab VERB --help` prints."""
    rest = "--print_config prints what is set, as YAML. All settings, the trainer's and the model's too"
    return f"{first(verb)}\n{rest}: kovocab {verb} {EVERYTHING}\n"


def first(verb: str) -> str:
    """The settings that people use: groups, a line a setting, with its default."""
    lines = [f"usage: {usage(verb)}\n\n{TRAINING[verb]}\n"]
    lines.append(
        "Settings are given as flags, or in YAML files (--config), of which there may be several; later ones win.\n"
    )
    for group, settings in USED.items():
        rows = [
            f"  --{key:<32} {line}{_default(value)}\n"
            for key, (verbs, line, value) in settings.items()
            if verb in verbs
        ]
        if rows:
            lines.append("".join([f"{group}:\n", *rows]))
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value is _REQUIRED:
        return " (required)"
    if value is None or value == {}:
        return ""
    return f" (default: {value if isinstance(value, str) else json.dumps(value)})"
