"""What each stage of a run does, as data: its rows with learning rate and length. No torch here."""

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from kovocab.errors import ModelError, UsageError
from kovocab.stages import STAGES, LabelMode, Stage

TRAINING = {
    "plan": "Tell what a fit with the same settings would cost: bytes a device, FLOPs, hours; nothing is trained.",
    "coverage": "Tell how often the run that is planned will see each new token; the data is packed, nothing trained.",
    "fit": "Train an expanded model stage by stage; the same command again resumes.",
    "validate": "Measure the loss of one model folder on the held-out text.",
    "test": "The same, logged as loss/test.",
    "predict": "Write the loss of each held-out block, with its text, to a Parquet file.",
}
"""The verbs that go by stage plans: Lightning's, in `kovocab.fitting.fit`, which takes seconds to load."""

# What 32 bits of a weight, and 64 of a count, hold with room to spare; no run comes near.
_MOST, _MOST_STEPS, _MOST_TOKENS = 1e38, (1 << 31) - 1, 1 << 40


@dataclass(frozen=True)
class StageSettings:
    """How a stage trains. What is not given for a stage is as in the defaults.

    Attributes:
        lr: Highest learning rate.
        steps: Length in optimizer steps. Give this or `tokens`.
        tokens: Length in tokens, of all ranks; rounded up to whole steps.
        warmup: Share of the steps in which the learning rate rises to `lr`, in a line.
        final_lr: Share of `lr` that is left at the end of the stage, down a cosine.
        weight_decay: The optimizer's, where it has one.
        label_mode: What is trained towards: plain, the next token; for stages that train no output rows also
            first_piece, its first base piece; old_vocab, the same among old tokens alone; and, for new input
            rows alone, distill, the hidden states of the base's spelling.
    """

    lr: float | None = None
    steps: int | None = None
    tokens: int | None = None
    warmup: float | None = None
    final_lr: float | None = None
    weight_decay: float | None = None
    label_mode: LabelMode | None = None


DEFAULTS = StageSettings(warmup=0.05, final_lr=0.1, weight_decay=0.1, label_mode="plain")
"""For what a run's own defaults leave out. A learning rate and a length must be said."""


@dataclass(frozen=True)
class StagePlan:
    """One stage of a run, with every number in place.

    Attributes:
        number: From 1.
        stage: Which rows and layers train.
        lr, steps, warmup, final_lr, weight_decay, label_mode: See `StageSettings`.
    """

    number: int
    stage: Stage
    lr: float
    steps: int
    warmup: float
    final_lr: float
    weight_decay: float
    label_mode: LabelMode = "plain"

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        wanted = {
            "lr": (0 < self.lr < _MOST, f"a number above 0, and below {_MOST:.0e}"),
            "steps": (0 < self.steps <= _MOST_STEPS, f"1 to {_MOST_STEPS:,}"),
            "warmup": (0 <= self.warmup <= 1, "a share of the steps, 0 to 1"),
            "final_lr": (0 <= self.final_lr <= 1, "a share of lr, 0 to 1"),
            "weight_decay": (0 <= self.weight_decay < _MOST, f"0 or more, and below {_MOST:.0e}"),
        }
        for key, (holds, what) in wanted.items():
            if not holds:
                raise UsageError(f"stage {self.number}: {key} is {getattr(self, key)}; wanted {what}")
        self._check_label_mode()

    def _check_label_mode(self) -> None:
        """Output rows that no label names only learn not to be next; what `distill` comes near must not move."""
        blocks = self.stage.blocks
        if self.label_mode == "distill":
            holds, what = blocks == {"input_new"}, "new input rows alone"
        else:
            holds, what = self.label_mode == "plain" or self.stage.output_rows == "none", "no output rows"
        if not holds:
            raise UsageError(
                f"stage {self.number}: label_mode is {self.label_mode}, which is for stages that train {what}; this "
                f"one trains {', '.join(sorted(blocks))}"
            )

    @property
    def warmup_steps(self) -> int:
        """The warmup in whole steps."""
        return round(self.warmup * self.steps)

    def settings(self) -> dict[str, Any]:
        """What the stage's record says, flat, so that two runs are compared by name."""
        plain = asdict(self)
        return {**plain.pop("stage"), **{key: value for key, value in plain.items() if key != "number"}}


def stage_plans(
    schedule: str | list[Stage],
    stages: dict[int, StageSettings],
    defaults: StageSettings,
    tokens_per_step: int,
) -> list[StagePlan]:
    """Put a schedule and its settings together, a plan a stage.

    Args:
        schedule: The name of one of `kovocab.STAGES`, or stages.
        stages: Settings by number, from 1.
        defaults: Settings of the stages that do not say.
        tokens_per_step: Of all ranks and accumulated batches together.

    Raises:
        UsageError: names the stage and the key.
    """
    if tokens_per_step < 1:
        raise UsageError(f"a step has {tokens_per_step} tokens; wanted trainer.accumulate_grad_batches of at least 1")
    if tokens_per_step > _MOST_TOKENS:
        raise UsageError(
            f"a step has {tokens_per_step:,} tokens; wanted at most {_MOST_TOKENS:,}, by a smaller data.batch_size or "
            "trainer.accumulate_grad_batches"
        )
    if isinstance(schedule, str):
        if schedule not in STAGES:
            raise UsageError(f"schedule: there is no {schedule!r}; wanted {', '.join(STAGES)} or a list of stages")
        schedule = list(STAGES[schedule])
    if not schedule:
        raise UsageError("schedule: the list is empty; wanted at least one stage")
    for number in stages:
        if not 1 <= number <= len(schedule):
            raise UsageError(f"stages: there is no stage {number}; the schedule has 1 to {len(schedule)}")
    return [
        _fill(number, stage, stages.get(number, StageSettings()), defaults, tokens_per_step)
        for number, stage in enumerate(schedule, start=1)
    ]


def planned(stages: list[StagePlan], blocks_per_step: int) -> list[tuple[int, bool]]:
    """What the data has to know of stages: how many blocks each takes, and whether it distills."""
    return [(stage.steps * blocks_per_step, stage.label_mode == "distill") for stage in stages]


def _fill(number: int, stage: Stage, own: StageSettings, defaults: StageSettings, tokens_per_step: int) -> StagePlan:
    for given in (own, defaults):
        if given.steps is not None and given.tokens is not None:
            raise UsageError(f"stage {number}: steps and tokens are both given; wanted one of them")
    if own.steps is not None or own.tokens is not None:
        defaults = replace(defaults, steps=None, tokens=None)
    filled: dict[str, Any] = {}
    for field in fields(StageSettings):
        values = (getattr(settings, field.name) for settings in (own, defaults, DEFAULTS))
        filled[field.name] = next((value for value in values if value is not None), None)
    tokens = filled.pop("tokens")
    if tokens is not None:
        filled["steps"] = math.ceil(tokens / tokens_per_step)
    for key, what in (("lr", "a learning rate"), ("steps", "steps or tokens")):
        if filled[key] is None:
            raise UsageError(f"stage {number} has no {key}; give {what} in stages.{number} or in defaults")
    return StagePlan(number=number, stage=stage, **filled)


def check_tied(model: str | Path, stages: list[StagePlan]) -> None:
    """See that each stage trains the same rows of both embeddings, of a model in which they are one matrix.

    Args:
        model: The folder of the model, for the error.
        stages: All of a run's.

    Raises:
        ModelError: names the stages that do not, and those that would then be one and the same.
    """
    apart = [each for each in stages if each.stage.input_rows != each.stage.output_rows]
    if not apart:
        return
    # All that can be trained of one matrix is what a stage says of either.
    alike: dict[tuple[str, bool], list[int]] = {}
    for each in stages:
        rows = max(each.stage.input_rows, each.stage.output_rows, key=("none", "new", "all").index)
        alike.setdefault((rows, each.stage.layers), []).append(each.number)
    same = [_listed(numbers) for numbers in alike.values() if len(numbers) > 1]
    told = f": stages {same[0]} would be one and the same" if same else ""
    told += "".join(f", and so would {more}" for more in same[1:])
    first = apart[0]
    raise ModelError(
        f"stage {first.number} has input_rows {first.stage.input_rows} and output_rows {first.stage.output_rows}, and "
        f"the embeddings of {model} are tied, one matrix{told}; wanted the same rows of both in "
        f"{_listed([each.number for each in apart])}, as in a `schedule` of eeve's stages 3, 6 and 7, or a base with "
        "two matrices: `kovocab expand --untie true`"
    )


def _listed(numbers: list[int]) -> str:
    return " and ".join(filter(None, (", ".join(map(str, numbers[:-1])), str(numbers[-1]))))
