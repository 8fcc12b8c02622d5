"""`kovocab fit | validate | test | predict`; one `Trainer.fit` a stage.

A stage starts from the artefact of the stage before it, with a fresh Trainer, optimizer and schedule, and
leaves its own. So a run is resumed at the first stage that left none, from that one's last checkpoint.
"""

import logging
import shutil
import sys
import warnings
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import torch
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only
from transformers.utils import logging as transformers_logging

from kovocab.artefact import Record, new_file, new_folder, read_record, write_record
from kovocab.callbacks import Losses, PlainLines, StageBar, StageCheckpoint, StepSeed
from kovocab.causal_lm import CausalLM, WarmupCosine
from kovocab.configuration import Configuration
from kovocab.data import Mixture
from kovocab.embeddings import copy_tokenizer
from kovocab.errors import ArtefactError, KovocabError, ModelError, UsageError
from kovocab.freezing import StageFreezing
from kovocab.plan import StagePlan, plan
from kovocab.processes import held, one_run
from kovocab.runs import Run, base_record
from kovocab.split_rows import save_plain
from kovocab.tokenizer import load_tokenizer

say = rank_zero_only(partial(print, flush=True))


def main(args: list[str]) -> int:
    """Run `args`, of which the first is the verb; give the exit code, 0.

    Raises:
        KovocabError: what the user got wrong, or a failed run.
        KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
        SystemExit: 0 after --help and --print_config.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Which process of several ended, where the main one is ended for it.
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").setLevel(logging.INFO)
    # Lightning 2.6 on torch 2.13; nothing that the user can do anything about.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    if not sys.stdout.isatty():
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    verb = args[0]
    configuration = Configuration(verb, args[1:])
    with one_run():
        if verb == "fit":
            Fit(configuration)()
        else:
            evaluate(configuration, verb)
    return 0


class Fit:
    """A run: what is left of its stages is trained when it is called.

    Args:
        configuration: What the user said.

    Raises:
        UsageError: a number or a combination of them that cannot be.
        ArtefactError: the run's folder is of another base, data or settings.
        ModelError: the model to start from is not an expanded one, or it is tied and a stage would train one
            embedding without the other.
    """

    def __init__(self, configuration: Configuration) -> None:
        config = self.config = configuration.config
        _check_trainer(config)
        self.configuration = configuration
        module, self.data = configuration.build()
        self.run = Run(Path(config.run), Path(module.folder))
        _check_model(self.run.base, self.data)
        world = _new_trainer(configuration, [], logger=False).world_size
        self.tokens_per_step = (
            self.data.packing.length * self.data.batch_size * world * config.trainer.accumulate_grad_batches
        )
        given = configuration.config_init
        self.stages = plan(given.schedule, given.stages, given.defaults, self.tokens_per_step)
        _check_tied(self.run.base, self.stages)
        of_all = configuration.run_settings(self.data, self.tokens_per_step)
        self.settings = [{"stage": stage.settings(), **of_all} for stage in self.stages]
        self.done = self.run.done(self.settings)

    def __call__(self) -> None:
        """Train the stages that are not finished.

        Raises:
            FreezingError: a frozen parameter moved.
            CorpusError: a source cannot be read or is too small.
            ModelError: something ended a stage before its last step.
            KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
        """
        if self.done:
            stages = f"stages 1 to {self.done}" if self.done > 1 else "stage 1"
            say(f"finished before: {stages} of {len(self.stages)}, in {self.run.folder / 'stages'}")
        for stage in self.stages[self.done :]:
            begun = self.run.begin(stage.number, self.settings[stage.number - 1])
            with held(begun):
                rank_zero_only(self.run.tidy)(stage.number)
                self._train(stage, begun)

    def _train(self, stage: StagePlan, begun: Path) -> None:
        """Train one stage to its end and write its artefact."""
        module, _ = self.configuration.build(self.run.start(stage.number))
        _set_optimizer(module, self.config, stage)
        title = f"stage {stage.number}/{len(self.stages)}"
        freezing, losses = StageFreezing.from_stage(stage.stage), Losses()
        settings = {"number": stage.number, **self.settings[stage.number - 1]}
        checkpoint = StageCheckpoint(begun, self.config.checkpoint_every, settings)
        callbacks: list[Callback] = [freezing, losses, StepSeed(self.config.seed_everything, stage.number), checkpoint]
        given = self.configuration.config_init.trainer
        if not self.configuration.shows_bar:
            callbacks.append(PlainLines(title, self.tokens_per_step))
        elif not any(isinstance(callback, ProgressBar) for callback in given.callbacks or []):
            callbacks.append(StageBar(title))
        trainer = _new_trainer(
            self.configuration,
            callbacks,
            max_steps=stage.steps,
            num_sanity_val_steps=-1,
            default_root_dir=self.run.folder,
            logger=_logger(self.run.folder, stage.number) if given.logger is None else given.logger,
            log_every_n_steps=min(given.log_every_n_steps or 50, stage.steps),
            val_check_interval=_within(given.val_check_interval, stage.steps * given.accumulate_grad_batches),
        )
        resumed = checkpoint.found()
        how = f"{stage.steps} steps, lr {stage.lr:g}" + (f"; resuming {resumed}" if resumed else "")
        say(f"{title}: {', '.join(sorted(stage.stage.blocks))}; {how}")
        try:
            with checkpoint.listening():
                _guarded(trainer.fit, module, datamodule=self.data, ckpt_path=resumed)
            steps = trainer.global_step
            if steps != stage.steps:
                raise ModelError(
                    f"{title} ended at step {steps} of {stage.steps}: a callback of trainer.callbacks stopped it, say; "
                    "without that the same command goes on from its last checkpoint, or from its start"
                )
            if losses.val_step != steps and trainer.limit_val_batches:
                _guarded(trainer.validate, module, datamodule=self.data, verbose=False)
        except KeyboardInterrupt:
            at = f"step {checkpoint.saved} of {stage.steps}" if checkpoint.saved else "its last checkpoint"
            print(f"stopped in {title}; the same command goes on from {at}", file=sys.stderr)
            raise
        if trainer.is_global_zero:
            results = {
                "loss": {"train": losses.train, "val_before": losses.val_before, "val": losses.val},
                "steps": steps,
                "tokens": steps * self.tokens_per_step,
                "freezing": freezing.report,
            }
            self._save(stage, module, results)
            shutil.rmtree(begun)
        trainer.strategy.barrier("stage")
        verified = f"{freezing.report['verified_parameters']} frozen parameters verified"
        say(f"{title}: {_shown(losses)}; {verified}; {self.run.finished(stage.number)}")
        if checkpoint.interrupted and stage.number < len(self.stages):
            print(f"stopped after {title}; the same command goes on from there", file=sys.stderr)
            raise KeyboardInterrupt

    def _save(self, stage: StagePlan, module: CausalLM, results: Record) -> None:
        """Write a stage's artefact. Its record lists the stages before it, and the base's record once."""
        start = self.run.start(stage.number)
        source = read_record(start)
        base, earlier = source, []
        if stage.number > 1:
            kept = {key: source[key] for key in ("stage", *results)}
            earlier = [*source["earlier"], kept | {"settings": {"stage": source["settings"]["stage"]}}]
            base = source["base"]
        record = {
            "verb": "fit",
            "stage": stage.number,
            "of": len(self.stages),
            "first_new_id": base["first_new_id"],
            "vocab_size": base["vocab_size"],
            "settings": self.settings[stage.number - 1],
            **results,
            "data": self.data.record(),
            "versions": {name: version(name) for name in ("kovocab", "torch", "lightning", "transformers")},
            "earlier": earlier,
            "base": base,
        }
        with new_folder(self.run.finished(stage.number)) as folder:
            save_plain(module.loaded, folder)
            copy_tokenizer(start, folder)
            write_record(folder, record)


def evaluate(configuration: Configuration, verb: str) -> None:
    """Run validate, test or predict on the model folder that the configuration names."""
    module, data = configuration.build()
    _check_model(Path(module.folder), data)
    trainer = _new_trainer(configuration, [], logger=False, enable_checkpointing=False)
    if verb == "predict":
        _predict(trainer, module, data, Path(configuration.config.predictions))
        return
    results = _guarded(getattr(trainer, verb), module, datamodule=data, verbose=False)
    for name, value in results[0].items():
        say(f"{name} {value:.6f}")


def _predict(trainer: Trainer, module: CausalLM, data: Mixture, path: Path) -> None:
    """Write a row for each held-out block: source, block, loss (nats per token), text."""
    if trainer.world_size > 1:
        raise UsageError(f"predict runs on 1 device, and the trainer's settings give {trainer.world_size}")
    with new_file(path) as beside:
        outputs = _guarded(trainer.predict, module, datamodule=data)
        losses = torch.cat([output["loss"] for output in outputs])
        rows = list(islice(data.held_out(), len(losses)))
        pl.DataFrame(
            {
                "source": [source for source, _, _ in rows],
                "block": [block for _, block, _ in rows],
                "loss": losses.tolist(),
                "text": load_tokenizer(data.tokenizer).decode_batch([ids for _, _, ids in rows]),
            }
        ).write_parquet(beside)
    say(f"{len(rows)} blocks, mean loss {losses.mean():.6f}, in {path}")


def _set_optimizer(module: CausalLM, config: Namespace, stage: StagePlan) -> None:
    """Give the optimizer the stage's numbers; a schedule of the configuration's own stands."""
    numbers = {"lr": stage.lr, "weight_decay": stage.weight_decay}
    known = config.model.optimizer.init_args
    module.optimizer = partial(module.optimizer, **{key: numbers[key] for key in numbers if key in known})
    if module.scheduler is None:
        module.scheduler = partial(
            WarmupCosine,
            warmup_steps=stage.warmup_steps,
            total_steps=stage.steps,
            minimum=stage.final_lr,
        )


def _check_model(folder: Path, data: Mixture) -> None:
    rows, tokens = base_record(folder)["vocab_size"], load_tokenizer(data.tokenizer).get_vocab_size()
    if tokens > rows:
        raise ModelError(
            f"the tokenizer in {data.tokenizer} has {tokens:,} tokens and the model {rows:,} rows; "
            "wanted a row for each"
        )


def _check_tied(folder: Path, stages: list[StagePlan]) -> None:
    """Where both embeddings are one matrix, a stage trains the same rows of both."""
    record = base_record(folder)
    while record["verb"] == "fit":
        record = record["base"]
    for number, stage in ((planned.number, planned.stage) for planned in stages if record.get("tied")):
        if stage.input_rows != stage.output_rows:
            raise ModelError(
                f"stage {number} has input_rows {stage.input_rows} and output_rows {stage.output_rows}, and the "
                f"embeddings of {folder} are tied, one matrix; wanted the same rows of both, as in a `schedule` of "
                "eeve's stages 3, 6 and 7"
            )


def _check_trainer(config: Namespace) -> None:
    others = ("max_epochs", "max_time", "min_steps", "min_epochs", "limit_train_batches")
    for key, unset in {"max_steps": -1, "fast_dev_run": False, **dict.fromkeys(others)}.items():
        if config.trainer[key] != unset:
            raise UsageError(
                f"trainer.{key} is {config.trainer[key]}; wanted the length of a stage in stages or defaults"
            )
    if config.checkpoint_every < 1:
        raise UsageError(f"checkpoint_every is {config.checkpoint_every}; wanted at least 1 step")


def _within(interval: Any, batches: int) -> Any:
    """The validation interval, in batches where it is an int, at most a stage long: Lightning refuses a longer one."""
    return min(interval, batches) if isinstance(interval, int) else interval


def _logger(run: Path, number: int) -> CSVLogger:
    """A folder of metrics for each time that a stage was started, so that none overwrites another."""
    times = len(list((run / "logs").glob(f"stage-{number}*")))
    return CSVLogger(run, name="logs", version=f"stage-{number}" + (f"-again-{times}" if times else ""))


def _new_trainer(configuration: Configuration, callbacks: list[Callback], **settings: Any) -> Trainer:
    """A fresh Trainer; what Lightning refuses, also by a ValueError, is what the user got wrong."""
    try:
        return configuration.new_trainer(callbacks, **settings)
    except KovocabError:
        raise
    except (MisconfigurationException, ValueError) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> UsageError:
    return UsageError(f"trainer: {' '.join(str(error).split())}")


def _guarded(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a Trainer's method; Ctrl-C comes out as KeyboardInterrupt, where Lightning exits with 1.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        ArtefactError: a log or checkpoint cannot be written.
        UsageError: settings that Lightning refuses.
    """
    try:
        return function(*args, **kwargs)
    except KovocabError:
        raise
    except OSError as error:
        raise ArtefactError(f"the run cannot go on: {error}") from error
    except MisconfigurationException as error:
        raise _refused(error) from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def _shown(losses: Losses) -> str:
    said = {"held-out loss": losses.val_before, "to": losses.val, "training loss": losses.train}
    return ", ".join(f"{name} {value:.4f}" for name, value in said.items() if value is not None)
