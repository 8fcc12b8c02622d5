"""Every configuration that we ship parses, composes, and begins with the command that uses it."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from kovocab import cli
from kovocab.configuration import Configuration
from kovocab.plan import plan

ROOT = Path(__file__).parents[1]
STAGES = sorted((ROOT / "configs/stages").glob("*.yaml"))
TOKENS_PER_STEP = 2048 * 8 * 16


def parse(*args):
    return Configuration("fit", [str(arg) for arg in args])


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_stages_compose_with_the_run(path):
    made = parse("--config", "configs/fit.yaml", "--config", path, "--model.model", "expanded")
    assert made.config.trainer.gradient_clip_val == 1.0
    made.build()
    given = made.config_init
    stages = plan(given.schedule, given.stages, given.defaults, TOKENS_PER_STEP)
    assert len(stages) == {"eeve": 7, "kosolar": 1}[path.stem]
    assert sum(stage.steps for stage in stages) * TOKENS_PER_STEP == pytest.approx(2e9, rel=0.01)


@pytest.mark.parametrize("path", [ROOT / "configs/fit.yaml", *STAGES], ids=lambda path: path.stem)
def test_each_file_begins_with_the_command_that_uses_it(path):
    line = path.read_text().splitlines()[0]
    command = re.fullmatch(r"# kovocab fit (.*)", line)
    assert command, line
    assert str(path.relative_to(ROOT)) in command[1]
    parse(*shlex.split(command[1]))


def test_there_are_both_presets():
    assert [path.stem for path in STAGES] == ["eeve", "kosolar"]


@pytest.mark.parametrize("verb", ["count", "refine", "expand", "export"])
def test_the_file_of_each_other_verb_holds_all_its_settings_that_matter(verb, capsys):
    path = f"configs/{verb}.yaml"
    assert Path(path).read_text().startswith(f"# kovocab {verb} --config {path}\n")
    assert cli.main([verb, "--config", path, "--print_config"]) == 0
    said = yaml.safe_load(Path(path).read_text())
    assert said.items() <= yaml.safe_load(capsys.readouterr().out).items()
