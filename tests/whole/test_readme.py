"""What the README says is so: its tree is the tree on disk, its commands and names exist, its proofs are there."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import kovocab
from kovocab.cli import main as cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


PACKAGE, ENGINE = ROOT / "python/kovocab", ROOT / "rust"
FOLDERS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))


def tree(root: str) -> dict[str, str]:
    """What the README says of each folder and file below `root`."""
    below = README.split("## The tree")[1].split(f"\n{root}\n")[1]
    block = re.split(r"\n(?! )", below, maxsplit=1)[0]
    return {name: clause[:1].lower() + clause[1:] for name, clause in re.findall(r"^  ([\w./]+) +(.+)$", block, re.M)}


def test_the_tree_is_the_tree_on_disk():
    package, engine = tree("python/kovocab/"), tree("rust/")
    files = {path.name for path in PACKAGE.glob("[!_]*.py")} | {"_core.pyi"}
    assert {name for name in package if not name.endswith("/")} == files
    assert {name for name in package if name.endswith("/")} == {f"{folder.name}/" for folder in FOLDERS}
    assert engine.keys() == {f"{path.parent.name}/" for path in ENGINE.glob("*/mod.rs")}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_what_it_is_for(folder: Path):
    """One docstring and no import: a line that is the README's, what goes in and out, and a clause a file."""
    module = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    assert len(module.body) == 1
    said = ast.get_docstring(module) or ""
    line, body, files = said.split("\n\n")
    assert line[:1].lower() + line[1:].rstrip(".") == tree("python/kovocab/")[f"{folder.name}/"]
    assert body.startswith("In: ")
    assert " Out: " in body.replace("\n", " ")
    assert " never " in body.replace("\n", " ")
    clauses = dict(re.findall(r"^(\w+) {2,}(\S.*)$", files, re.M))
    assert len(clauses) == len(files.splitlines())
    assert clauses.keys() == {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert 2 <= len(clauses) <= 9
    assert not [path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"]


def test_every_room_of_the_engine_is_built_and_named():
    for path in [ENGINE / "lib.rs", *ENGINE.glob("*/mod.rs")]:
        said = path.read_text()
        declared = set(re.findall(r"^(?:pub )?mod (\w+);", said, re.MULTILINE))
        here = {file.stem for file in path.parent.glob("*.rs")} | {
            file.parent.name for file in path.parent.glob("*/mod.rs")
        }
        assert declared == here - {"lib", "mod"}
        if path.name == "mod.rs":
            told = "".join(line for line in said.splitlines() if line.startswith("//!"))
            assert {name for name in declared if f"`{name}`" not in told and f"[{name}]" not in told} == set(), path


def test_every_test_file_finds_its_room():
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder, name = path.relative_to(ROOT / "tests").parent, path.stem.removeprefix("test_")
        if folder.name in ("whole", "fuzz"):  # of no one room
            continue
        rooms = [room.stem for room in (PACKAGE / folder).glob("[!_]*.py")]
        assert [room for room in rooms if name == room or name.startswith(f"{room}_")], path


def test_its_walls_are_those_that_lint_holds():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["name"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}
    said = " ".join(README.split("## The tree")[1].split())
    for name in ("Text knows no torch", "Training knows nothing of counting"):
        folders = re.findall(r"`(\w+)`", said.split(f"*{name}*: ")[1].split(" load ")[0])
        contract = contracts[name]
        assert {f"kovocab.{folder}" for folder in folders} == {*contract["source_modules"]} - {
            "kovocab.errors", "kovocab.ownership", "kovocab.forms", "kovocab.record", "kovocab.workplace",
            "kovocab.artefact", "kovocab.hub",
        }  # fmt: skip
        last = said.split(f"*{name}*: ")[1].split(" load ")[1].split(".")[0]
        assert all(module.removeprefix("kovocab.") in last for module in contract["forbidden_modules"])
    layers = contracts["The street: a folder knows only the folders below it"]["layers"]
    known = {name.strip() for layer in layers for name in layer.split("|")}
    assert known >= {folder.name for folder in FOLDERS}


def test_every_folder_has_its_invariant():
    said = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^- `(\w+)`.*\*\*Invariant", re.sub(r"\n  ", " ", said), re.M) == [
        name.rstrip("/") for name in tree("python/kovocab/") if name.endswith("/")
    ]


# But for fit, whose file the quickstart writes; those of configs/ are parsed in test_configs.py.
@pytest.mark.parametrize("command", re.findall(r"^\$ kovocab (?!fit)(.+)$", README, re.MULTILINE))
def test_each_command_is_understood(command, capsys):
    verb, *settings = shlex.split(command)
    assert cli.main([verb, *settings, "--print_config"]) == 0
    assert f"out: {settings[settings.index('--out') + 1]}" in capsys.readouterr().out


def test_its_names_are_public():
    named = set(re.findall(r"kovocab\.(\w+)\(", README)) | {"StageFreezing"}
    assert named <= set(dir(kovocab))
    assert named >= {"count", "count_tokens", "RefineSettings", "refine", "evaluate", "expand", "split_rows"}
    assert dir(kovocab) == sorted(kovocab.__all__)
    for name in dir(kovocab):
        assert getattr(kovocab, name) is not None


def test_it_names_all_that_is_public():
    python = README.split("## From Python")[1]
    assert [name for name in kovocab.__all__ if not re.search(rf"\b{name}\b", python)] == []
    verbs = README.split("## The verbs")[1].split("## From Python")[0]
    assert [verb for verb in cli.summaries() if not re.search(rf"\*\*{verb}\*\*|`(kovocab )?{verb}\b", verbs)] == []


def test_its_proofs_are_there():
    proofs = set(re.findall(r"`((?:tests|rust|benchmarks|docs|configs)/[\w./]*)`", README))
    assert len(proofs) > 10
    assert [proof for proof in proofs if not (ROOT / proof).exists()] == []


def test_findings_are_listed_and_there():
    there = {path.stem for path in (ROOT / "findings").glob("*.sh")} - {"lib"}
    listed = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "findings/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(there)
    named = {
        name
        for path in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"`findings/([\w-]+)\.sh`", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= there


def test_its_callback_example_is_the_tested_one():
    example = README.split("for train in ")[1].split(":\n")[0]
    assert example in (ROOT / "tests/freezing/test_callback.py").read_text()


def test_its_first_python_example_runs(tmp_path, monkeypatch, capsys):
    """As a stranger runs it, in an empty folder; `make test-install` does so with the wheel alone."""
    monkeypatch.chdir(tmp_path)
    example = README.split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    tokens_per_word = names["table"]["tokens_per_word"].to_list()
    assert tokens_per_word[0] > 12
    assert tokens_per_word[1] < 3
    assert names["record"]["new_tokens"] == len(names["refined"].vocabulary)
    assert "2.5" in capsys.readouterr().out
