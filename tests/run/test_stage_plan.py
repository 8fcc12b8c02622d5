"""What each stage does: its own settings, the defaults, and lengths in steps."""

from kovocab.run.stage_plan import StageSettings, stage_plans
from kovocab.stages import Stage


def test_settings_fall_back_to_defaults_and_tokens_become_steps():
    stages = (Stage(input_rows="new"), Stage(layers=True), Stage(output_rows="all"))
    own = {2: StageSettings(tokens=1001, lr=0.5), 3: StageSettings(steps=7, warmup=0.5)}
    defaults = StageSettings(lr=0.1, steps=3, warmup=0.2)
    first, second, third = stage_plans(list(stages), own, defaults, tokens_per_step=100)
    assert (first.lr, first.steps, first.weight_decay) == (0.1, 3, 0.1)
    assert (second.lr, second.steps, second.warmup, second.warmup_steps) == (0.5, 11, 0.2, 2)
    assert (third.lr, third.steps, third.warmup) == (0.1, 7, 0.5)
    assert [stage.stage for stage in (first, second, third)] == list(stages)
