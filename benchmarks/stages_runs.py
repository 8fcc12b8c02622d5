"""A run of stages.py: what `kovocab fit` does for one arm and one seed, and what it comes to, as a curve."""

import json
import shutil
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from kovocab import STAGES, Stage
from kovocab.evaluating.texts import Budget, held_out
from kovocab.fitting.fit import main as kovocab
from kovocab.fitting.stage_evaluation import StageEvaluation
from kovocab.measuring.generation import beginning, generate
from kovocab.measuring.measure import Measuring, measure
from kovocab.measuring.runs import read_places
from kovocab.measuring.subject import Named, open_subject
from kovocab.packing.packed import PackedSource
from kovocab.packing.source import Packing, Source
from kovocab.packing.token_files import TokenFiles
from kovocab.planning.costs import Skeleton
from kovocab.planning.setup import Setup
from kovocab.record import Record, read_record
from kovocab.tokenizer.tokenizer import load_tokenizer
from stages_make import Made
from stages_setting import ARMS, EVERYTHING, LANGUAGES, LONGER, REFERENCE, VALIDATION, Arm, Size, stage_steps

Row = dict[str, Any]


class Along(Callback):
    """Measures a model on its way, and counts the bytes of text that it is trained on.

    Args:
        out: A file, which gets a line of JSON a stage.
        points: The steps of the stage behind which it measures, as it is measured at the end of the stage.
        evaluated: Bytes of each source.
    """

    def __init__(self, out: str, points: list[int], evaluated: int) -> None:
        self._out, self._points, self._evaluated = Path(out), set(points), evaluated
        self._found: list[Row] = []
        self._lengths = self._bytes = torch.zeros((), dtype=torch.int64)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        document = load_tokenizer(trainer.datamodule.tokenizer)  # type: ignore[attr-defined]
        special = {token.id for token in document.added_tokens}
        # In the alphabet of bytes: a character is a byte.
        lengths = [0 if row in special else len(document.tokens[row]) for row in range(document.size)]
        self._lengths = torch.tensor(lengths, device=pl_module.device)
        self._bytes = torch.zeros((), dtype=torch.int64, device=pl_module.device)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        _, batch, _ = args
        self._bytes += self._lengths[batch["input_ids"]].sum()  # left on the device: no waiting
        if trainer.global_step in self._points:
            self._found.append(self._read(trainer) | self._measured(trainer, pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del pl_module
        with self._out.open("a") as file:
            print(json.dumps(self._read(trainer) | {"points": self._found}), file=file)

    def _read(self, trainer: Trainer) -> Row:
        """What the stage has read so far."""
        data, step = trainer.datamodule, trainer.global_step  # type: ignore[attr-defined]
        english = data.served(step * data.batch_size)["sources"].get("english", {"tokens": 0})["tokens"]
        return {"step": step, "bytes": int(self._bytes), "english_tokens": english}

    def _measured(self, trainer: Trainer, module: LightningModule) -> Row:
        budget = Budget(None, self._evaluated)
        evaluation = StageEvaluation(trainer.datamodule, budget)  # type: ignore[attr-defined]
        evaluation.measure(trainer, module, budget)
        assert evaluation.found is not None
        return {name: each["bits_per_byte"] for name, each in evaluation.found["sources"].items()}


class Runs:
    """The runs of an experiment.

    Args:
        home: Its folder: `RUN.json` a run, and what they share in `made`.
        data: The folder of real text.
        size: How large it is.
        device: cpu or cuda.
    """

    def __init__(self, home: Path, data: Path, size: Size, device: str) -> None:
        self.home, self.size, self.device = home, size, device
        self.made = Made(home / "made", data, size)

    def base(self) -> Row:
        """The base, and what it makes of the held-out text before any run."""
        path = self.home / "base.json"
        if path.is_file():
            return dict(json.loads(path.read_text()))
        begin = time.monotonic()
        base = self.made.base(self._train_base)
        # Its tokens of both languages are there before the first run, and so is what is held out.
        texts = [held_out(self._packed(base / "as-expanded", name), name, self._budget) for name in LANGUAGES]
        how = Measuring(new_tokens=0, unlearned=False, device=self.device)
        found = measure([Named("base", "base", str(base / "model"))], texts, self._budget, how).evaluation
        bits = {row["source"]: row["bits_per_byte"] for row in found["figures"] if row["script"] == "all"}
        row = {
            **{name: bits[name] for name in LANGUAGES},
            "parameters": found["models"][0]["parameters"],
            "texts": {text["source"]: {"bytes": text["bytes"], "sha256": text["sha256"]} for text in found["texts"]},
            "seconds": time.monotonic() - begin,
        }
        return self._kept(path, row)

    def run(self, name: str, seed: int) -> Row:
        """A run: trained, unless it was before."""
        path, folder = self.home / f"{name}-{seed}.json", self.home / f".{name}-{seed}"
        if path.is_file():
            return dict(json.loads(path.read_text()))
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped: it is short
        folder.mkdir(parents=True)
        arm, size, begin = ARMS[name], self.size, time.monotonic()
        model = self._model(arm)
        longer = LONGER if name == REFERENCE else 1.0
        steps = [round(size.steps * longer)] if arm.single else stage_steps(size.steps)
        points = sorted({max(1, round(size.steps * share)) for share in size.points}) if arm.single else []
        self._fit(folder, model, arm, steps, points, seed)
        seconds = time.monotonic() - begin
        stages = [read_record(folder / "stages" / str(number + 1), "fit") for number in range(len(steps))]
        curve = self._curve(folder, model, arm, stages)
        sources = stages[-1]["evaluation"]["sources"]
        row = {
            "arm": name,
            "seed": seed,
            "curve": curve,
            "new_tokens": 0 if arm.model == "none" else read_record(model)["new_tokens"],
            "texts": {source: each["bytes"] for source, each in sources.items()},
            "tokens_of_texts": {source: each["tokens"] for source, each in sources.items()},
            **self._speed(folder, len(steps), sources["korean"]["tokens"]),
            "seconds": seconds,
        }
        shutil.rmtree(folder)
        return self._kept(path, row)

    @property
    def _budget(self) -> Budget:
        return Budget(None, self.size.evaluated)

    def _kept(self, path: Path, row: Row) -> Row:
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(row, indent=1) + "\n")
        beside.rename(path)
        return row

    def _model(self, arm: Arm) -> Path:
        base = self.made.base(self._train_base)
        if arm.model == "none":
            return base / "as-expanded"
        return self.made.mean(base) if arm.model == "mean" else self.made.expanded(base, arm.model)

    def _train_base(self, model: Path) -> Path:
        folder = self.home / "made" / ".base-run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        size = self.size
        settings = self._settings(folder, model, ["english"], seed=0) | {
            "schedule": EVERYTHING,
            "defaults": {"lr": size.base_lr, "steps": size.base_steps, "weight_decay": 0.1},
            "evaluate_stages": False,
        }
        self._kovocab(folder, settings)
        return folder / "stages" / "1"

    def _fit(self, folder: Path, model: Path, arm: Arm, steps: list[int], points: list[int], seed: int) -> None:
        settings = self._settings(folder, model, list(LANGUAGES), seed)
        along = {"out": str(folder / "along.jsonl"), "points": points, "evaluated": self.size.evaluated}
        settings["trainer"]["callbacks"] = [{"class_path": "stages_runs.Along", "init_args": along}]
        # Said, so that the reference, which goes on for longer, reads what the others read.
        tokens = round(self.size.steps * self.size.tokens_per_step * LANGUAGES["korean"] / sum(LANGUAGES.values()))
        settings["data"]["bias"] = {"korean": {"tokens": tokens}} if arm.bias else None
        lengths = {number: {"steps": count} for number, count in enumerate(steps, start=1)}
        settings |= {
            "schedule": arm.schedule,
            # One learning rate in all stages and no decay: a step of a single-stage run is the end of a shorter one,
            # and no arm is better for having ended more gently.
            "defaults": {"lr": self.size.lr, "final_lr": 1.0, "weight_decay": 0.1},
            "stages": {number: length | arm.stages.get(number, {}) for number, length in lengths.items()},
            "evaluate_bytes": self.size.evaluated,
        }
        self._kovocab(folder, settings)

    def _settings(self, folder: Path, model: Path, languages: list[str], seed: int) -> dict[str, Any]:
        texts = {name: self.made.text(name) for name in languages}
        return {
            "run": str(folder),
            "seed_everything": seed,
            "model": {
                "model": str(model),
                "dtype": "float32",
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"betas": [0.9, 0.95]}},
            },
            "data": {
                "sources": [
                    {"name": name, "corpus": str(texts[name]), "weight": LANGUAGES[name]} for name in languages
                ],
                "length": self.size.length,
                "batch_size": self.size.batch,
                "validation_share": VALIDATION,
                "tokens_dir": str(self.home / "made" / "tokens"),
                "seed": seed,
            },
            "trainer": {
                "accelerator": "gpu" if self.device == "cuda" else "cpu",
                "devices": 1,
                "precision": "bf16-mixed" if self.device == "cuda" else "32-true",
                "gradient_clip_val": 1.0,
                "limit_val_batches": 0,
                "logger": False,
            },
            "checkpoint_every": 1_000_000,
        }

    def _kovocab(self, folder: Path, settings: dict[str, Any]) -> None:
        path = folder / "fit.yaml"
        path.write_text(json.dumps(settings, indent=1))  # YAML, too
        with (self.home / "fit.log").open("a") as log, redirect_stdout(log):
            kovocab(["fit", "--config", str(path)])

    def _packed(self, model: Path, language: str) -> Path:
        """The token files of a language, by the tokenizer of a model."""
        files = TokenFiles(str(model), str(self.home / "made" / "tokens"), Packing(self.size.length, VALIDATION))
        packed = files.pack(Source(language, str(self.made.text(language)), LANGUAGES[language]))
        return packed.folder

    def _curve(self, folder: Path, model: Path, arm: Arm, stages: list[Record]) -> list[Row]:
        """What the run had cost and read at each point, and what the model then was."""
        places = read_places(folder)
        assert places is not None
        english = _bytes_per_token(places["tokens"]["english"])
        work = self._work(model, arm)
        lines = [json.loads(line) for line in (folder / "along.jsonl").read_text().splitlines()]
        curve: list[Row] = []
        before: Row = {"step": 0, "flops": 0, "korean_bytes": 0.0}
        for record, line, flops in zip(stages, lines, work, strict=True):
            last = {name: each["bits_per_byte"] for name, each in record["evaluation"]["sources"].items()}
            on_the_way = [point for point in line["points"] if point["step"] < line["step"]]
            for point in [*on_the_way, line | last]:
                row = {
                    "step": before["step"] + point["step"],
                    "flops": before["flops"] + point["step"] * self.size.tokens_per_step * flops,
                    # English is drawn evenly in every arm; what else was read is Korean.
                    "korean_bytes": before["korean_bytes"] + point["bytes"] - point["english_tokens"] * english,
                    **{name: point[name] for name in LANGUAGES},
                }
                curve.append(row)
            before = curve[-1]
        return [row | {"tokens": row["step"] * self.size.tokens_per_step} for row in curve]

    def _work(self, model: Path, arm: Arm) -> list[float]:
        """FLOPs a token of each stage, as `kovocab plan` counts them."""
        skeleton, setup = Skeleton(str(model), 0, torch.float32), Setup(self.size.batch, self.size.length)
        given = [Stage(**each) for each in arm.schedule] if isinstance(arm.schedule, list) else STAGES[arm.schedule]
        work = [float(sum(skeleton.work(stage, setup).values())) for stage in given]
        if arm.stages.get(1, {}).get("label_mode") == "distill":
            # No logits; and the layers once more, forward, over the base's spelling, of more tokens.
            hidden, rows = self.size.hidden, skeleton.rows
            forward = sum(skeleton.work(Stage(output_rows="new"), setup).values())
            forward -= 2 * hidden * (rows + self.size.new_tokens)
            base = self._packed(self.made.base(self._train_base) / "as-expanded", "korean")
            spelled = _bytes_per_token(self._packed(model, "korean")) / _bytes_per_token(base)
            work[0] += forward * spelled - 4 * hidden * rows
        return work

    def _speed(self, folder: Path, stage: int, tokens: int) -> Row:
        """Characters of Korean a second: tokens that the model generates in it, times what held-out text has in one.

        What so small a model says is not what would be said, so its own characters are not counted.
        """
        places = read_places(folder)
        assert places is not None
        text = held_out(Path(places["tokens"]["korean"]), "korean", self._budget)
        subject = open_subject(Named("run", "stage", str(folder / "stages" / str(stage))), self.device)
        prompt, new = beginning(text.documents[0])[:20], min(self.size.new, self.size.length // 2)
        generate(subject, [prompt], 2)
        seconds = []
        for _ in range(3):
            begin = time.perf_counter()
            generate(subject, [prompt], new)
            seconds.append(time.perf_counter() - begin)
        speed = new / min(seconds)
        characters = int(text.documents.str.len_chars().sum()) / tokens
        return {"tokens_per_second": speed, "characters_per_second": speed * characters}


def _bytes_per_token(folder: str | Path) -> float:
    """Of the training part of a packed source."""
    part = PackedSource(Path(folder)).record["train"]
    return float(part["bytes"] / part["tokens"])
