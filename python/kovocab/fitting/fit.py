"""`kovocab plan | coverage | fit | validate | test | predict`; one `Trainer.fit` a stage.

A stage starts from the artefact of the stage before it, with a fresh Trainer, optimizer and schedule, and
leaves its own. So a run is resumed at the first stage that left none, from that one's last checkpoint.
"""

import logging
import math
import shutil
import signal
import sys
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.utilities import rank_zero_only
from transformers.utils import logging as transformers_logging

from kovocab.artefact import new_folder
from kovocab.errors import ModelError
from kovocab.evaluating.places import note_places
from kovocab.evaluating.texts import Budget
from kovocab.expanding.expand import copy_tokenizer
from kovocab.expanding.spelling import copy_pieces
from kovocab.expanding.split_rows import fused_state_dict, save_plain
from kovocab.fitting.callbacks import HeldOutLines, Losses, PlainLines, StageBar, StepSeed
from kovocab.fitting.checks import (
    check_base_tied,
    check_callbacks,
    check_labels,
    check_model,
    check_precision,
    check_qlora_stages,
    check_start,
    check_trainer,
)
from kovocab.fitting.finite import Finite, NoHeldOutNumber, NoNumber
from kovocab.fitting.held_out import evaluate
from kovocab.fitting.meters import Meters, ended, loggers
from kovocab.fitting.stage_evaluation import StageEvaluation
from kovocab.fitting.trainers import guarded, new_trainer, say
from kovocab.freezing.callback import StageFreezing
from kovocab.machine.stopping import listening, stop, tell
from kovocab.model.causal_lm import CausalLM
from kovocab.model.fsdp import check_strategy, layout
from kovocab.model.qlora import QLoRA, merge, qlora_of, qlora_record, train_patterns
from kovocab.planning.coverage import tell_coverage
from kovocab.planning.forecast import forecast
from kovocab.planning.plan import plan
from kovocab.record import RECORD, Record, read_record, write_record
from kovocab.run.configuration import Configuration
from kovocab.run.folder import MERGED, Run, base_record, earlier
from kovocab.run.learning_rate import WarmupCosine
from kovocab.run.processes import held, one_run
from kovocab.run.stage_checkpoint import StageCheckpoint
from kovocab.run.stage_plan import StagePlan, planned, stage_plans


def main(args: list[str]) -> int:
    """Run `args`, of which the first is the verb; give the exit code, 0.

    Raises:
        KovocabError: what the user got wrong, or a failed run.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP, after the checkpoint was written.
        SystemExit: 0 after --help and --print_config.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Which process of several ended, where the main one is ended for it.
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").setLevel(logging.INFO)
    # A plan's tensors without memory that do not fit together: the error says it, without thirty lines before it.
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    # Lightning 2.6 on torch 2.13; nothing that the user can do anything about.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    if not sys.stdout.isatty():
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    verb = args[0]
    configuration = Configuration(verb, args[1:])
    if verb == "plan":
        plan(configuration)
        return 0
    if verb == "coverage":
        tell_coverage(configuration)
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
        check_trainer(config)
        budget = Budget(config.evaluate_documents, config.evaluate_bytes)
        self.budget = budget if config.evaluate_stages else None
        self.configuration = configuration
        module, self.data = configuration.build()
        self.run = Run(Path(config.run), Path(module.folder))
        check_callbacks(configuration.callbacks)
        check_model(self.run.base, self.data)
        trainer = new_trainer(configuration, [], logger=False)
        check_precision(module, trainer)
        check_strategy(trainer.strategy)
        self.layout = layout(trainer.strategy)
        world = trainer.world_size
        self.blocks_per_step = self.data.batch_size * world * config.trainer.accumulate_grad_batches
        self.tokens_per_step = self.data.packing.length * self.blocks_per_step
        given = configuration.config_init
        self.stages = stage_plans(given.schedule, given.stages, given.defaults, self.tokens_per_step)
        check_base_tied(self.run.base, self.stages)
        check_qlora_stages(module, self.stages, trainer)
        self.data.plan(planned(self.stages, self.blocks_per_step))
        for line in forecast(self.data, self.run.base):
            say(line, file=sys.stderr)
        self.data.check()  # after all else: it may read all of the corpus
        of_all = configuration.run_settings(self.data, self.tokens_per_step)
        # What QLoRA is set to says nothing about a stage that is trained without it.
        plain = of_all | {"model": of_all["model"] | {"qlora": None}}
        self.settings = [
            {"stage": stage.settings(), **(of_all if qlora_of(module.qlora, stage.stage) else plain)}
            for stage in self.stages
        ]
        self.done = self.run.done(self.settings)
        check_labels(self.run.base, self.stages, self.done)
        if self.done < len(self.stages):
            check_start(self.run.start(self.done + 1))

    def __call__(self) -> None:
        """Train the stages that are not finished.

        Raises:
            FreezingError: a frozen parameter moved.
            CorpusError: a source cannot be read or is too small.
            ModelError: something ended a stage before its last step.
            KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP, after the checkpoint was written.
        """
        if self.done:
            stages = f"stages 1 to {self.done}" if self.done > 1 else "stage 1"
            say(f"finished before: {stages} of {len(self.stages)}, in {self.run.folder / 'stages'}")
        for stage in self.stages[self.done :]:
            begun = self.run.begin(stage.number)
            with held(begun):
                # Another run may have trained it since this one looked; it let go of the folder only then.
                if there := self.run.finished(stage.number).exists():
                    asked = None
                else:
                    rank_zero_only(self._note_places)()
                    rank_zero_only(self.run.bind)(stage.number, self.settings[stage.number - 1])
                    asked = self._train(stage, begun)
            if there:
                self.run.done(self.settings)
                say(f"finished by another run: stage {stage.number} of {len(self.stages)}")
            self.run.clear(stage.number)
            if asked is not None and stage.number < len(self.stages):
                tell(f"stopped after stage {stage.number}/{len(self.stages)}; the same command goes on from there")
                stop(asked)

    def _note_places(self) -> None:
        files = self.data.token_files
        note_places(self.run.folder, self.run.base, {each.name: files.place(each) for each in self.data.sources})

    def _train(self, stage: StagePlan, begun: Path) -> int | None:
        """Train one stage to its end and write its artefact; the signal that asked to stop behind it, if one did."""
        module, _ = self.configuration.build(self.run.start(stage.number))
        module.qlora, module.lora = qlora_of(module.qlora, stage.stage), stage.stage.layers
        _set_optimizer(module, self.config, stage)
        module.label_mode = stage.label_mode
        self.data.enter(stage.number)
        title = f"stage {stage.number}/{len(self.stages)}"
        freezing, losses = StageFreezing.from_stage(stage.stage), Losses()
        if module.qlora is not None:
            freezing = StageFreezing(train_patterns(stage.stage))
            title += ", layers in 4 bits"
        settings = {"number": stage.number, "parameters": self.layout, **self.settings[stage.number - 1]}
        finite = Finite()
        checkpoint = StageCheckpoint(begun, self.config.checkpoint_every, settings, finite.check)
        seed = StepSeed(self.config.seed_everything, stage.number)
        meters, evaluation = Meters(self.tokens_per_step), StageEvaluation(self.data, self.budget)
        callbacks: list[Callback] = [freezing, losses, seed, finite, checkpoint, meters, evaluation]
        given = self.configuration.config_init.trainer
        if not self.configuration.shows_bar:
            callbacks += [PlainLines(title, self.tokens_per_step), HeldOutLines(title)]
        elif not any(isinstance(callback, ProgressBar) for callback in self.configuration.callbacks):
            callbacks.append(StageBar(title))
        trainer = new_trainer(
            self.configuration,
            callbacks,
            max_steps=stage.steps,
            num_sanity_val_steps=-1,
            default_root_dir=self.run.folder,
            logger=loggers(self.run.folder, stage.number, given.logger),
            log_every_n_steps=_logged(given.log_every_n_steps, stage.steps),
            val_check_interval=_within(given.val_check_interval, stage.steps * given.accumulate_grad_batches),
        )
        resumed = checkpoint.found()
        how = f"{stage.steps} steps, lr {stage.lr:g}" + (f"; resuming {resumed}" if resumed else "")
        say(f"{title}: {', '.join(sorted(stage.stage.blocks))}; {how}")
        try:
            with listening(checkpoint.ask):
                guarded(trainer.fit, module, datamodule=self.data, ckpt_path=resumed)
            steps = trainer.global_step
            if steps != stage.steps:
                raise ModelError(
                    f"{title} ended at step {steps} of {stage.steps}: a callback of trainer.callbacks stopped it, say; "
                    "without that the same command goes on from its last checkpoint, or from its start"
                )
            if losses.val_step != steps and trainer.limit_val_batches:
                guarded(trainer.validate, module, datamodule=self.data, verbose=False)
            evaluation.after(trainer, module, losses)
            merged = {} if module.qlora is None else self._merge(stage, trainer, module, module.qlora)
            self._finish(stage, trainer, module, losses, merged, freezing, evaluation.found)
        except NoNumber as error:
            if isinstance(error, NoHeldOutNumber) and checkpoint.saved == trainer.global_step:
                checkpoint.take_back()
            raise ModelError(self._lost(stage, f"{title}: {error}", checkpoint)) from error
        except KeyboardInterrupt:
            tell(f"stopped in {title}; the same command {self._goes_on(stage, checkpoint)}")
            raise
        trainer.strategy.barrier("stage")
        verified = f"{freezing.report['verified_parameters']} frozen parameters verified"
        after = "".join(f", {value:.4f} merged" for value in merged.values() if value is not None)
        say(f"{title}: {_shown(losses)}{after}; {verified}; {self.run.finished(stage.number)}")
        # One process alone may have heard of it, behind the last step.
        stopping = trainer.strategy.reduce_boolean_decision(checkpoint.asked is not None, all=False)
        return (checkpoint.asked or signal.SIGINT) if stopping else None

    def _goes_on(self, stage: StagePlan, checkpoint: StageCheckpoint) -> str:
        """Where the same command begins after the stage was stopped."""
        if self.run.finished(stage.number).exists():
            return "goes on behind it: it is finished"
        if checkpoint.saved is None and checkpoint.last.exists():  # stopped before it was read
            return "goes on from its last checkpoint"
        if checkpoint.saved is None:
            return "begins it again: no step was saved yet"
        return f"goes on from step {checkpoint.saved} of {stage.steps}"

    def _lost(self, stage: StagePlan, what: str, checkpoint: StageCheckpoint) -> str:
        """What went wrong, what is left of the stage and what to try."""
        left = "no checkpoint was written before"
        again = "the same command with that begins the stage anew"
        if checkpoint.saved is not None:
            left = f"the last checkpoint before, {checkpoint.last}, is of step {checkpoint.saved}"
            again = f"take another `run` for that, or remove {self.run.begun(stage.number)}"
        return (
            f"{what}; {left}. Try a lower lr than {stage.lr:g}, a trainer.gradient_clip_val or another "
            f"trainer.precision: {again}"
        )

    def _finish(
        self,
        stage: StagePlan,
        trainer: Trainer,
        module: CausalLM,
        losses: Losses,
        merged: dict[str, float | None],
        freezing: StageFreezing,
        evaluation: Record | None,
    ) -> None:
        """Write a stage's artefact, with what it came to."""
        steps, served = stage.steps, self.data.served(stage.steps * self.blocks_per_step)
        say(f"stage {stage.number}/{len(self.stages)}: {_taken(served)}")
        results = {
            "loss": {"train": losses.train, "val_before": losses.val_before, "val": losses.val} | merged,
            "steps": steps,
            "tokens": steps * self.tokens_per_step,
            "served": served,
            "freezing": freezing.report,
        }
        if evaluation is not None:
            results["evaluation"] = evaluation
            say(f"stage {stage.number}/{len(self.stages)}: {_bits(evaluation)}")
        if module.qlora is not None:
            results["qlora"] = qlora_record(module.loaded, module.qlora)
        self._save(stage, trainer, module, results)
        ended(trainer.loggers)

    def _merge(self, stage: StagePlan, trainer: Trainer, module: CausalLM, qlora: QLoRA) -> dict[str, float | None]:
        """Write the plain model of a QLoRA stage where the stage works, and measure its held-out loss."""
        start, folder = self.run.start(stage.number), self.run.begun(stage.number) / MERGED
        if trainer.is_global_zero:
            with new_folder(folder) as beside:
                merge(module.loaded, start, beside, module.dtype_wanted)
                write_record(beside, read_record(start))  # it says where new rows begin
        trainer.strategy.barrier("merged")
        plain, _ = self.configuration.build(folder)
        plain.qlora, plain.dtype_wanted = None, qlora.compute_dtype
        lines: list[Callback] = [] if self.configuration.shows_bar else [HeldOutLines("merged")]
        trainer = new_trainer(self.configuration, lines, logger=False, enable_checkpointing=False)
        if not trainer.limit_val_batches:
            return {"val_merged": None}
        try:
            results = guarded(trainer.validate, plain, datamodule=self.data, verbose=False)
        except (torch.OutOfMemoryError, ModelError) as error:
            if not isinstance(error.__cause__ or error, torch.OutOfMemoryError):
                raise
            say("the merged model does not fit on the device: its loss is not measured; see `kovocab validate`")
            return {"val_merged": None}
        if not math.isfinite(results[0]["loss/val"]):
            raise NoNumber("the held-out loss of the merged model is no number")
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
        source = base_record(start)
        base, before = source, []
        if stage.number > 1:
            base, before = source["base"], [*source["earlier"], earlier(source)]
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
            "earlier": before,
            "base": base,
        }
        with new_folder(self.run.finished(stage.number)) as folder:
            if module.qlora is None:
                save_plain(module.loaded, folder, state, start)
            else:
                merged = self.run.begun(stage.number) / MERGED
                for file in (path for path in merged.iterdir() if path.name != RECORD):
                    try:
                        (folder / file.name).hardlink_to(file)  # not moved: the run may be killed here
                    except OSError:
                        shutil.copyfile(file, folder / file.name)
            copy_tokenizer(start, folder)
            copy_pieces(start, folder)
            write_record(folder, record)


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


def _within(interval: Any, batches: int) -> Any:
    """The validation interval, in batches where it is an int, at most a stage long: Lightning refuses a longer one."""
    return min(interval, batches) if isinstance(interval, int) else interval


def _logged(every: int | None, steps: int) -> int:
    """Steps between two lines of the logs, at most a stage; where nobody said, a stage has ten lines or more."""
    return min(50, max(1, steps // 10)) if every is None else min(every, steps)


def _shown(losses: Losses) -> str:
    said = {"held-out loss": losses.val_before, "to": losses.val, "training loss": losses.train}
    return ", ".join(f"{name} {value:.4f}" for name, value in said.items() if value is not None)


def _taken(served: Record) -> str:
    return "; ".join(
        f"{name}: {each['tokens']:,} tokens, {each['share']:.2%}, {each['epochs']:.3g} epochs"
        for name, each in served["sources"].items()
    )


def _bits(evaluation: Record) -> str:
    return "; ".join(
        f"{name}: {each['bits_per_byte']:.4f} bits per byte, {each['bytes']:,} bytes"
        for name, each in evaluation["sources"].items()
    )
