"""The parser of plan, coverage, fit, validate, test and predict: LightningCLI round CausalLM and Mixture.

One file describes a run and serves all six verbs. Nothing is instantiated until `build`, because each stage
has its own Trainer, module and optimizer.
"""

import json
import os
import sys
from argparse import SUPPRESS, ArgumentError
from pathlib import Path
from types import NoneType
from typing import Any, Literal, cast, get_args

from jsonargparse import Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    LearningRateFinder,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins import LayerSync, Precision

from kovocab.data.mix import Mixture
from kovocab.errors import KovocabError, NotInstalled, UsageError
from kovocab.evaluating.settings import BYTES
from kovocab.flags.config_file import ConfigFile
from kovocab.flags.lists import as_written, stray
from kovocab.flags.messages import no_text, plain
from kovocab.forms import short
from kovocab.machine.gpus import GPUS, MFU
from kovocab.model.causal_lm import CausalLM
from kovocab.record import Record
from kovocab.run.folder import identity
from kovocab.run.help import Helpful, usage
from kovocab.run.stage_plan import TRAINING, StageSettings
from kovocab.stages import Stage

# Lightning 2.6 calls what jsonargparse has deprecated; the user can do nothing about it.
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

TRAINER_SETTINGS = (
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "deterministic",
)
"""What of the Trainer changes the weights that come out, and so must not change within a stage."""

CHANGING: tuple[type, ...] = (
    WeightAveraging,
    StochasticWeightAveraging,
    BaseFinetuning,
    ModelPruning,
    LearningRateFinder,
    BatchSizeFinder,
    Precision,
    LayerSync,
)
"""The callbacks and plugins that change them, too; what others do, those that show or stop, say, changes none."""

MODEL_UNNAMED = ("model", "activation_checkpointing")
"""What of the module is compared by content, or changes no weight."""

_MOST_SEED = (1 << 32) - 1

STAND_INS = {"--model.model": "a model", "--data.sources": '[{"name": "a", "corpus": "a"}]'}
"""What has to be given, and what is put there to see what else is wrong."""


class HelpfulParser(Helpful, LightningArgumentParser):
    """Lightning's parser, with our help."""


class Configuration(LightningCLI):
    """What a command line and its files say.

    Args:
        verb: One of `TRAINING`.
        args: What follows it.

    Raises:
        UsageError: it cannot be parsed; names the key.
        SystemExit: 0 after --help, which says all, and --print_config.
    """

    def __init__(self, verb: str, args: list[str]) -> None:
        self.verb = verb
        try:
            super().__init__(
                CausalLM,
                Mixture,
                save_config_callback=None,
                seed_everything_default=0,
                parser_kwargs={
                    "prog": f"kovocab {verb}",
                    "usage": usage(verb),
                    "description": TRAINING[verb],
                    "exit_on_error": False,  # else each error comes with eighty lines of usage
                    "allow_abbrev": False,  # else a misspelt --checkpoint is --checkpoint_every
                },
                parser_class=HelpfulParser,
                args=args,
                run=False,
                auto_configure_optimizers=False,
                # Else a checkpoint's hyperparameters would override the configuration.
                load_from_checkpoint_support=False,
            )
        except UsageError:
            raise
        except UnicodeDecodeError as error:
            raise UsageError(f"{no_text(error, args)} (see `kovocab {verb} --help`)") from error
        except (ArgumentError, ValueError) as error:  # the second of a seed out of range
            said = stray(str(error), verb, None) or plain(str(error), args)
            raise UsageError(f"{said} (see `kovocab {verb} --help`)") from error

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Lightning's parser, but that it names a file of settings that it cannot read."""
        parser = self.parser_class(**kwargs)
        parser.add_argument("-c", "--config", action=ConfigFile, help="A YAML file of settings; later ones win.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What `fit` needs beside model, data and trainer; the other verbs read past it."""
        cast("HelpfulParser", parser).verb = self.verb
        parser.link_arguments("model.model", "data.tokenizer")
        add = parser.add_argument
        add(
            "--schedule",
            type=str | list[Stage],
            default="eeve",
            help="fit: a preset (eeve: seven stages, kosolar: one), or a list of stages",
        )
        add("--stages", type=dict[int, StageSettings], default={}, help="fit: settings by number, from 1")
        add("--defaults", type=StageSettings, default=StageSettings(), help="fit: settings of other stages")
        add("--run", type=str, default="run", help="fit: folder of stages and logs")
        add("--checkpoint_every", type=int, default=100, help="fit: optimizer steps between checkpoints")
        add("--predictions", type=str, default="predictions.parquet", help="predict: the file to write")
        add("--evaluate_stages", type=bool, default=True, help="fit: measure bits per byte at the end of each stage")
        add("--evaluate_documents", type=int | None, default=None, help="fit: on how many documents of a source")
        add("--evaluate_bytes", type=int | None, default=BYTES, help="fit: and on how many bytes, but for one document")
        if self.verb in ("coverage", "predict"):
            add("--overwrite", type=bool, default=False, help="replace a file of another model, other data or stages")
        if self.verb == "coverage":
            add("--out", type=str | None, default=None, help="a Parquet file to write, a row a new token")
            add("--log", type=Literal["text", "json"], default="text", help="a table, or a JSON object")
        if self.verb == "plan":
            add("--gpu", type=str | None, default=None, help=f"{', '.join(GPUS)}; H100, if the trainer is not cpu's")
            add("--mfu", type=float, default=MFU, help="share of the GPU's peak that is used")
            add("--memory", type=int | str | None, default=None, help="of a device, 24GiB say; by default the GPU's")
            add("--new_tokens", type=int, default=8960, help="of a model that is not expanded yet")
            add(
                "--pad_to_multiple_of",
                type=int | None,
                default=None,
                help="of a model that is not expanded yet: as expand's",
            )
            add("--log", type=Literal["text", "json"], default="text", help="a table, or a JSON object a stage")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse `args`; Lightning's own would warn that they are not the whole of sys.argv."""
        given, stand_ins = as_written(parser, cast("list[str]", args))[0], list[str]()
        lacking: ArgumentError | None = None
        while True:
            try:
                config = parser.parse_args([*given, *stand_ins])
            except ArgumentError as error:
                # What is not given it says first. What else is wrong is a slip, and said before.
                missing = next((key for key in STAND_INS if _lacks(error, key) and key not in stand_ins), None)
                if missing is None:
                    raise
                lacking = lacking or error
                stand_ins += [missing, STAND_INS[missing]]
            else:
                break
        if lacking is not None:
            raise lacking
        _check_values(parser, config)
        self.config = config

    def instantiate_classes(self) -> None:
        """Nothing yet, see `build`."""

    def build(self, model: str | Path | None = None) -> tuple[CausalLM, Mixture]:
        """Make fresh objects; `model` is read instead of the configuration's.

        Raises:
            UsageError: a value that its class refuses.
            NotInstalled: a class wants a package that is not there.
        """
        config = self.config.clone()
        if model is not None:
            config.model.model = str(model)
        try:
            self.config_init = self.parser.instantiate_classes(config)
        except KovocabError:
            raise
        except ModuleNotFoundError as error:  # of a logger, say
            said = " ".join(str(error).split())
            extra = next(
                (f": pip install 'kovocab[{extra}]'" for extra in ("wandb", "tensorboard") if extra in said), ""
            )
            raise NotInstalled(f"{said}; wanted what the configuration names{extra}") from error
        except ValueError as error:  # jsonargparse wraps what a stage in a list raises
            raise UsageError(plain(str(error), [])) from error
        return self.config_init.model, self.config_init.data

    @property
    def shows_bar(self) -> bool:
        """Whether to show a progress bar: as the configuration says, else on a terminal."""
        given = self.config.trainer.enable_progress_bar
        return sys.stdout.isatty() if given is None else bool(given)

    @property
    def callbacks(self) -> list[Callback]:
        """The configuration's own; call `build` first."""
        return _listed(self.config_init.trainer.callbacks)

    def new_trainer(self, callbacks: list[Any], **settings: Any) -> Trainer:
        """A fresh Trainer with the configuration's callbacks and `callbacks`; call `build` first."""
        settings = {
            "callbacks": [*self.callbacks, *callbacks],
            "enable_progress_bar": self.shows_bar,
            "enable_model_summary": False,
        } | settings
        return self.instantiate_trainer(**settings)

    def run_settings(self, data: Mixture, tokens_per_step: int) -> Record:
        """All that decides, beside a stage's own settings, what its weights become; call `build` first."""
        dumped = json.loads(self.parser.dump(self.config, format="json", skip_none=False))
        trainer = {key: dumped["trainer"][key] for key in TRAINER_SETTINGS}
        for key in ("callbacks", "plugins"):
            made, said = (_listed(trainers[key]) for trainers in (self.config_init.trainer, dumped["trainer"]))
            # Where there is none, nothing: so says a record of an earlier kovocab, too.
            if changing := [says for each, says in zip(made, said, strict=True) if isinstance(each, CHANGING)]:
                trainer[key] = changing
        return {
            "seed": self.config.seed_everything,
            "base": identity(Path(self.config.model.model)),
            "model": {key: value for key, value in dumped["model"].items() if key not in MODEL_UNNAMED},
            "data": data.identity(),
            "trainer": trainer | {"tokens_per_step": tokens_per_step},
        }


def _listed(given: Any) -> list[Any]:
    """Callbacks or plugins, of which Lightning takes one without a list, too."""
    return [] if given is None else given if isinstance(given, list) else [given]


def _check_values(parser: LightningArgumentParser, config: Namespace) -> None:
    """Refuse what jsonargparse lets through.

    Raises:
        UsageError: a setting is null that cannot be, or not settings by their names; the seed is out of bounds.
    """
    for action in parser._actions:
        of = getattr(action, "_typehint", None)
        null = of is None or of is Any or NoneType in get_args(of) or action.default in (None, SUPPRESS)
        # Lightning takes a seed of null for 0.
        if not null and action.dest != "seed_everything" and config.get(action.dest) is None:
            raise UsageError(f"{action.dest} is null; wanted a value, or no such line")
    if not isinstance(config.defaults, Namespace):
        raise UsageError(f"defaults is {short(config.defaults)}; wanted settings by their names, lr and steps say")
    if not 0 <= (seed := config.seed_everything or 0) <= _MOST_SEED:
        raise UsageError(f"seed_everything: {seed} is not in bounds; wanted 0 to {_MOST_SEED:,}")


def _lacks(error: ArgumentError, flag: str) -> bool:
    """Whether the parser says that a setting is not given."""
    said, key = str(error), flag.removeprefix("--")
    return f"are required: {key}" in said or (said.startswith(f'Parser key "{key}"') and "Got value: None" in said)
