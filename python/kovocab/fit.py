"""`kovocab plan | fit | validate | test | predict`; one `Trainer.fit` a stage.

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
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities import rank_zero_only
from transformers.utils import logging as transformers_logging

from kovocab.artefact import Record, new_file, new_folder, read_record, write_record
from kovocab.callbacks import Losses, PlainLines, StageBar, StageCheckpoint, StepSeed
from kovocab.causal_lm import CausalLM, WarmupCosine
from kovocab.configuration import Configuration
from kovocab.data import Mixture
from kovocab.embeddings import copy_tokenizer
from kovocab.errors import ArtefactError, KovocabError, ModelError, UsageError
from kovocab.forecast import forecast
from kovocab.freezing import StageFreezing
from kovocab.meters import Meters, loggers
from kovocab.new_rows import INITIALISATION
from kovocab.pieces import BasePieces, copy_pieces
from kovocab.plan import StagePlan, plan
from kovocab.processes import held, one_run
from kovocab.qlora import QLoRA, check_qlora, merge, no_shards, qlora_of, qlora_record, train_patterns
from kovocab.runs import Run, base_record
from kovocab.sharding import check_strategy
from kovocab.split_rows import fused_state_dict, save_plain
from kovocab.tokenizer import load_tokenizer

MERGED = "merged"
"""The folder, where a stage works, of what QLoRA was merged into."""

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
    if verb == "plan":
        forecast(configuration)
        return 0
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
        trainer = _new_trainer(configuration, [], logger=False)
        check_strategy(trainer.strategy)
        world = trainer.world_size
        self.tokens_per_step = (
            self.data.packing.length * self.data.batch_size * world * config.trainer.accumulate_grad_batches
        )
        given = configuration.config_init
        self.stages = plan(given.schedule, given.stages, given.defaults, self.tokens_per_step)
        _check_tied(self.run.base, self.stages)
        _check_qlora(module, self.stages, trainer)
        of_all = configuration.run_settings(self.data, self.tokens_per_step)
        # What QLoRA is set to says nothing about a stage that is trained without it.
        plain = of_all | {"model": of_all["model"] | {"qlora": None}}
        self.settings = [
            {"stage": stage.settings(), **(of_all if qlora_of(module.qlora, stage.stage) else plain)}
            for stage in self.stages
        ]
        self.done = self.run.done(self.settings)
        _check_labels(self.run.base, self.stages, self.done)

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
        module.qlora = qlora_of(module.qlora, stage.stage)
        module.lora = stage.stage.layers
        _set_optimizer(module, self.config, stage)
        module.label_mode = stage.label_mode
        title = f"stage {stage.number}/{len(self.stages)}"
        freezing, losses = StageFreezing.from_stage(stage.stage), Losses()
        if module.qlora is not None:
            freezing = StageFreezing(train_patterns(stage.stage))
            title += ", layers in 4 bits"
        settings = {"number": stage.number, **self.settings[stage.number - 1]}
        checkpoint = StageCheckpoint(begun, self.config.checkpoint_every, settings)
        callbacks: list[Callback] = [freezing, losses, StepSeed(self.config.seed_everything, stage.number), checkpoint]
        callbacks.append(Meters(self.tokens_per_step))
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
            logger=loggers(self.run.folder, stage.number) if given.logger is None else given.logger,
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
            merged = {} if module.qlora is None else self._merge(stage, trainer, module, module.qlora)
        except KeyboardInterrupt:
            at = f"step {checkpoint.saved} of {stage.steps}" if checkpoint.saved else "its last checkpoint"
            print(f"stopped in {title}; the same command goes on from {at}", file=sys.stderr)
            raise
        results = {
            "loss": {"train": losses.train, "val_before": losses.val_before, "val": losses.val} | merged,
            "steps": steps,
            "tokens": steps * self.tokens_per_step,
            "freezing": freezing.report,
        }
        if module.qlora is not None:
            results["qlora"] = qlora_record(module.loaded, module.qlora)
        self._save(stage, trainer, module, results)
        trainer.strategy.barrier("stage")
        verified = f"{freezing.report['verified_parameters']} frozen parameters verified"
        after = "".join(f", {value:.4f} merged" for value in merged.values() if value is not None)
        say(f"{title}: {_shown(losses)}{after}; {verified}; {self.run.finished(stage.number)}")
        if checkpoint.interrupted and stage.number < len(self.stages):
            print(f"stopped after {title}; the same command goes on from there", file=sys.stderr)
            raise KeyboardInterrupt

    def _merge(self, stage: StagePlan, trainer: Trainer, module: CausalLM, qlora: QLoRA) -> dict[str, float | None]:
        """Write the plain model of a QLoRA stage where the stage works, and measure its held-out loss."""
        start, folder = self.run.start(stage.number), self.run.begun(stage.number) / MERGED
        if trainer.is_global_zero:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            merge(module.loaded, start, folder, module.dtype_wanted)
            write_record(folder, read_record(start))  # it says where new rows begin
        trainer.strategy.barrier("merged")
        plain, _ = self.configuration.build(folder)
        plain.qlora, plain.dtype_wanted = None, qlora.compute_dtype
        trainer = _new_trainer(self.configuration, [], logger=False, enable_checkpointing=False)
        if not trainer.limit_val_batches:
            return {"val_merged": None}
        try:
            results = _guarded(trainer.validate, plain, datamodule=self.data, verbose=False)
        except torch.OutOfMemoryError:
            say("the merged model does not fit on the device: its loss is not measured; see `kovocab validate`")
            return {"val_merged": None}
        return {"val_merged": results[0]["loss/val"]}

    def _save(self, stage: StagePlan, trainer: Trainer, module: CausalLM, results: Record) -> None:
        """Write a stage's artefact. Its record lists the stages before it, and the base's record once."""
        state = {}
        # From shards it takes every rank to gather them; from a whole model each rank would copy the embeddings.
        if module.qlora is None and (trainer.is_global_zero or module.is_sharded):
            state = fused_state_dict(module.loaded)
        if not trainer.is_global_zero:
            return
        start = self.run.start(stage.number)
        source = read_record(start)
        base, earlier = source, []
        if stage.number > 1:
            kept = {key: source[key] for key in ("stage", *results, "qlora") if key in source}
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
            if module.qlora is None:
                save_plain(module.loaded, folder, state)
            else:
                for file in (self.run.begun(stage.number) / MERGED).iterdir():
                    file.rename(folder / file.name)
            copy_tokenizer(start, folder)
            copy_pieces(start, folder)
            write_record(folder, record)
        shutil.rmtree(self.run.begun(stage.number))


def evaluate(configuration: Configuration, verb: str) -> None:
    """Run validate, test or predict on the model folder that the configuration names."""
    module, data = configuration.build()
    module.qlora = None  # what a stage leaves is plain
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
                "eeve's stages 3, 6 and 7, or a base with two matrices: `kovocab expand --untie true`"
            )


def _check_labels(folder: Path, stages: list[StagePlan], done: int) -> None:
    """The base pieces are there if a stage needs them; a word where plain labels name rows that mean nothing yet."""
    record = base_record(folder)
    if any(planned.label_mode != "plain" for planned in stages[done:]):
        BasePieces.read(folder, record["first_new_id"])
    begun = False  # whether some stage has trained the output rows
    while record["verb"] == "fit":
        ran = [stage["settings"]["stage"] for stage in (*record["earlier"], record)]
        begun, record = begun or any(stage["output_rows"] != "none" for stage in ran), record["base"]
    made = record.get("initialisation", {}).get("output", "not on record")
    for planned in stages:
        begun = begun or planned.stage.output_rows != "none"
        if not begun and planned.label_mode == "plain" and planned.number > done and made != INITIALISATION["output"]:
            say(
                f"warning: stage {planned.number} trains with plain labels, and the output rows of new tokens are "
                f"not those of their first pieces (expand's rule: {made}); see label_mode",
                file=sys.stderr,
            )
            return


def _check_qlora(module: CausalLM, stages: list[StagePlan], trainer: Trainer) -> None:
    """What QLoRA needs, before a stage is trained that leads to it."""
    if module.qlora is None or not any(qlora_of(module.qlora, stage.stage) for stage in stages):
        return
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        raise no_shards(type(trainer.strategy).__name__)
    check_qlora(module.folder, module.qlora)


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
