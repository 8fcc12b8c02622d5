"""Every configuration that we ship parses, composes, and begins with the command that uses it."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from kovocab.cli import main as cli
from kovocab.run.configuration import Configuration
from kovocab.run.stage_plan import stage_plans

ROOT = Path(__file__).parents[2]
STAGES = sorted((ROOT / "configs/stages").glob("*.yaml"))
MACHINES = [ROOT / f"configs/fit/{name}.yaml" for name in ("cpu", "1xgpu", "8xh100", "2x8xh100")]
OF_FIT = [ROOT / "configs/fit.yaml", *sorted((ROOT / "configs/fit").glob("*.yaml")), *STAGES]


def parse(*args):
    return Configuration("fit", [str(arg) for arg in args])


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("stages", STAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.stem)
def test_machines_compose_with_stages(machine, stages):
    files = ("configs/fit.yaml", machine, stages)
    made = parse(*(part for file in files for part in ("--config", file)), "--model.model", "expanded")
    assert made.config.trainer.gradient_clip_val == 1.0
    _, data = made.build()
    given, trainer = made.config_init, made.config.trainer
    devices = trainer.devices * trainer.num_nodes
    if devices > 1:
        assert trainer.strategy.init_args.data_parallel_size == devices
        assert trainer.strategy.init_args.tensor_parallel_size == 1
    step = data.batch_size * data.packing.length * devices * trainer.accumulate_grad_batches
    # A schedule means the same on every GPU machine.
    assert step == (16_384 if machine.stem == "cpu" else 262_144)
    assert f"{step:,} tokens a step" in machine.read_text()
    plans = stage_plans(given.schedule, given.stages, given.defaults, step)
    assert len(plans) == {"eeve": 7, "kosolar": 1}[stages.stem]
    assert sum(stage.steps for stage in plans) * step == pytest.approx(2e9, rel=0.01)


@pytest.mark.parametrize("path", OF_FIT, ids=lambda path: path.stem)
def test_each_file_begins_with_the_command_that_uses_it(path):
    line = path.read_text().splitlines()[0]
    command = re.fullmatch(r"# kovocab fit (.*)", line)
    assert command, line
    assert str(path.relative_to(ROOT)) in command[1]
    parse(*shlex.split(command[1]))


def test_there_are_all_presets():
    assert [path.stem for path in STAGES] == ["eeve", "kosolar"]
    assert set(MACHINES) <= set(OF_FIT)


@pytest.mark.parametrize("verb", ["count", "refine", "expand", "export"])
def test_the_file_of_each_other_verb_holds_all_its_settings_that_matter(verb, capsys):
    path = f"configs/{verb}.yaml"
    assert Path(path).read_text().startswith(f"# kovocab {verb} --config {path}\n")
    assert cli.main([verb, "--config", path, "--print_config"]) == 0
    said = yaml.safe_load(Path(path).read_text())
    assert said.items() <= yaml.safe_load(capsys.readouterr().out).items()


def test_no_file_is_forgotten():
    of_verbs = {ROOT / f"configs/{verb}.yaml" for verb in ("count", "refine", "expand", "export")}
    assert {*OF_FIT, *of_verbs} == set((ROOT / "configs").rglob("*.yaml"))
