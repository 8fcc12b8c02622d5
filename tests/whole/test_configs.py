"""Every configuration that we ship parses, composes, and begins with the command that uses it."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from kovocab.cli import main as cli
from kovocab.cli.presets import own_parts
from kovocab.data.block_order import Schedule
from kovocab.exporting import metadata
from kovocab.fitting import fit
from kovocab.hub import HUB_ID
from kovocab.run.configuration import Configuration
from kovocab.run.stage_plan import TRAINING, stage_plans

ROOT = Path(__file__).parents[2]
STAGES = sorted((ROOT / "configs/stages").glob("*.yaml"))
MACHINES = [ROOT / f"configs/fit/{name}.yaml" for name in ("cpu", "1xgpu", "8xh100", "2x8xh100")]
MODELS = sorted((ROOT / "configs/models").glob("*.yaml"))
CARDS = ROOT / "configs/data/cards.yaml"
VERBS = ["count", "refine", "replace", "expand", "pack", "export", "transfer"]
OF_FIT = [ROOT / "configs/fit.yaml", CARDS, *sorted((ROOT / "configs/fit").glob("*.yaml")), *STAGES]


def parse(*args):
    return Configuration("fit", [str(arg) for arg in args])


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("stages", STAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.stem)
def test_machines_compose_with_stages(machine, stages):
    files = ("configs/fit.yaml", CARDS, machine, stages)
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


def test_the_cards_mixture_is_met_by_tokens_within_a_tenth_of_a_percent():
    """83.46 %, 10.69 % and 5.86 %, of 2 B tokens in blocks of 2,048, which is what the schedules take."""
    _, data = parse("--config", CARDS, "--model.model", "expanded").build()
    cards = {"korean_web": 0.8346, "multilingual": 0.1069, "english_korean_pairs": 0.0586}
    assert [source.name for source in data.sources] == list(cards)
    blocks = 2_000_000_000 // 2048
    served = Schedule([source.weight for source in data.sources]).served(blocks)
    for count, share in zip(served, cards.values(), strict=True):
        assert abs(count / blocks - share) < 0.001
        assert abs(count / blocks - share / sum(cards.values())) < 2 / blocks
    pairs = data.sources[2].reading.templates
    assert [pairs.columns, pairs.texts] == [("en", "ko"), ("{en}\n{ko}", "{ko}\n{en}")]


def test_there_are_all_presets():
    assert [path.stem for path in STAGES] == ["eeve", "kosolar"]
    assert set(MACHINES) <= set(OF_FIT)


@pytest.mark.parametrize("verb", VERBS)
def test_the_file_of_each_other_verb_holds_all_its_settings_that_matter(verb, capsys):
    path = f"configs/{verb}.yaml"
    assert Path(path).read_text().startswith(f"# kovocab {verb} --config {path}\n")
    assert cli.main([verb, "--config", path, "--print_config"]) == 0
    said = yaml.safe_load(Path(path).read_text())
    assert said.items() <= yaml.safe_load(capsys.readouterr().out).items()


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_a_preset_of_a_base_serves_every_verb(model, capsys):
    said = yaml.safe_load(model.read_text())
    assert list(said) == ["count", "refine", "expand", "fit", "export"]
    for verb, part in said.items():
        if verb == "fit":
            continue
        files = [f"configs/{verb}.yaml", str(model)]
        assert cli.main([verb, *(part for file in files for part in ("--config", file)), "--print_config"]) == 0
        whole = yaml.safe_load(capsys.readouterr().out)
        of_verb = yaml.safe_load(Path(files[0]).read_text())
        assert part.items() <= whole.items()
        assert part.items().isdisjoint(of_verb.items())  # only what differs
        assert {key: of_verb[key] for key in of_verb.keys() - part.keys()}.items() <= whole.items()
    base = said["expand"]["model"]
    assert HUB_ID.fullmatch(base)
    assert said["count"]["tokenizer"] == said["refine"]["base"] == said["export"]["base_model"] == base
    # What a verb leaves, the next one reads.
    assert said["count"]["out"] == said["refine"]["words"]
    assert said["refine"]["out"] == said["expand"]["tokenizer"]
    assert said["expand"]["out"] == said["fit"]["model"]["model"]
    assert said["fit"]["run"] == said["export"]["run"]
    assert metadata._LICENCE.fullmatch(said["export"]["license"])


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
@pytest.mark.parametrize("verb", TRAINING)
def test_a_preset_of_a_base_serves_every_verb_of_a_run(model, verb, capsys):
    files = ("configs/fit.yaml", str(CARDS), "configs/fit/1xgpu.yaml", "configs/stages/eeve.yaml", str(model))
    with pytest.raises(SystemExit) as end:
        fit.main([verb, *own_parts(verb, [part for file in files for part in ("--config", file)], cli.summaries()),
                  "--print_config"])  # fmt: skip
    assert end.value.code == 0
    whole, part = yaml.safe_load(capsys.readouterr().out), yaml.safe_load(model.read_text())["fit"]
    assert whole["run"] == part["run"]
    assert whole["model"]["model"] == part["model"]["model"]
    assert whole["data"]["length"] == 2048


def test_no_file_is_forgotten():
    of_verbs = {ROOT / f"configs/{verb}.yaml" for verb in VERBS}
    assert {*OF_FIT, *of_verbs, *MODELS} == set((ROOT / "configs").rglob("*.yaml"))
    assert [path.stem for path in MODELS] == ["llama-3", "mistral", "phi-2", "qwen2", "solar-10.7b"]
    for path in MODELS:
        first = path.read_text().partition("\n")[0]
        assert first == f"# kovocab expand --config configs/expand.yaml --config configs/models/{path.name}"
