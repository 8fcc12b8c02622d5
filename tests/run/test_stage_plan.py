"""What each stage does: its own settings, the defaults, lengths in steps, and what it is trained towards."""

from functools import partial

import pytest

from kovocab.errors import UsageError
from kovocab.run.stage_plan import StageSettings, stage_plans
from kovocab.stages import STAGES, Stage

made = partial(stage_plans, stages={}, tokens_per_step=1)


def test_settings_fall_back_to_defaults_and_tokens_become_steps():
    stages = (Stage(input_rows="new"), Stage(layers=True), Stage(output_rows="all"))
    own = {2: StageSettings(tokens=1001, lr=0.5), 3: StageSettings(steps=7, warmup=0.5)}
    defaults = StageSettings(lr=0.1, steps=3, warmup=0.2)
    first, second, third = stage_plans(list(stages), own, defaults, tokens_per_step=100)
    assert (first.lr, first.steps, first.weight_decay) == (0.1, 3, 0.1)
    assert (second.lr, second.steps, second.warmup, second.warmup_steps) == (0.5, 11, 0.2, 2)
    assert (third.lr, third.steps, third.warmup) == (0.1, 7, 0.5)
    assert [stage.stage for stage in (first, second, third)] == list(stages)


@pytest.mark.parametrize(
    ("mode", "stage", "says"),
    [
        ("first_piece", Stage(output_rows="new"), "for stages that train no output rows; this one trains output_new"),
        ("old_vocab", Stage("new", "all"), "label_mode is old_vocab, which is for stages that train no output rows"),
        ("distill", Stage("new", "new"), "label_mode is distill, which is for stages that train new input rows alone"),
        ("distill", Stage("all"), "this one trains input_new, input_old"),
        ("distill", Stage("new", layers=True), "this one trains input_new, layers"),
    ],
)
def test_a_mode_in_a_stage_that_it_is_not_for(mode, stage, says):
    with pytest.raises(UsageError, match=f"^stage 1: .*{says}"):
        made([stage], defaults=StageSettings(lr=1, steps=1, label_mode=mode))


def test_modes_in_the_stages_that_they_are_for():
    settings = StageSettings(lr=1, steps=1)
    assert {stage.label_mode for stage in made("eeve", defaults=settings)} == {"plain"}
    for mode in ("first_piece", "old_vocab", "distill"):
        stages = made("eeve", stages={1: StageSettings(label_mode=mode)}, defaults=settings)
        assert [stage.label_mode for stage in stages] == [mode, *["plain"] * 6]
        assert stages[0].settings()["label_mode"] == mode
    assert made([STAGES["eeve"][6]], defaults=StageSettings(lr=1, steps=1, label_mode="old_vocab"))
