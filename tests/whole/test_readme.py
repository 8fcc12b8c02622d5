"""What the README says is so: its tree is the tree on disk, its commands and names exist, its proofs are there."""

import re
import shlex
from pathlib import Path

import pytest

import kovocab
from kovocab.cli import main as cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_is_the_tree_on_disk():
    tree = README.split("## The tree")[1]
    said = set(re.findall(r"^  (\w+\.(?:py|pyi|rs)) ", tree, re.MULTILINE))
    rooms = {path.name for path in (ROOT / "python/kovocab").glob("*.py*")} - {"__init__.py"}
    engine = {path.name for path in (ROOT / "rust").glob("*.rs")}
    assert said == {name for name in rooms | engine if name.endswith((".py", ".pyi", ".rs"))}


def test_every_room_of_the_engine_is_built():
    declared = set(re.findall(r"^(?:pub )?mod (\w+);", (ROOT / "rust/lib.rs").read_text(), re.MULTILINE))
    assert declared == {path.stem for path in (ROOT / "rust").glob("*.rs")} - {"lib"}


# But for fit, whose file the quickstart writes; those of configs/ are parsed in test_configs.py.
@pytest.mark.parametrize("command", re.findall(r"^\$ kovocab (?!fit)(.+)$", README, re.MULTILINE))
def test_each_command_is_understood(command, capsys):
    verb, *settings = shlex.split(command)
    assert cli.main([verb, *settings, "--print_config"]) == 0
    assert f"out: {settings[settings.index('--out') + 1]}" in capsys.readouterr().out


def test_its_names_are_public():
    named = set(re.findall(r"kovocab\.(\w+)\(", README)) | {"StageFreezing"}
    assert named == {"count_words", "count_tokens", "RefineSettings", "refine", "StageFreezing"}
    for name in [*named, *kovocab.__all__]:
        assert getattr(kovocab, name) is not None


def test_its_proofs_are_there():
    proofs = set(re.findall(r"`((?:tests|rust|benchmarks|docs|configs)/[\w./]*)`", README))
    assert len(proofs) > 10
    assert [proof for proof in proofs if not (ROOT / proof).exists()] == []


def test_its_callback_example_is_the_tested_one():
    example = README.split("for train in ")[1].split(":\n")[0]
    assert example in (ROOT / "tests/test_freezing.py").read_text()
