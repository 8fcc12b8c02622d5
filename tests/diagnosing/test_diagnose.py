"""Doctor: true of this machine, quiet on secrets and paths, and well where everything is missing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kovocab import _core
from kovocab.cli.main import main
from kovocab.diagnosing import diagnose as room
from kovocab.diagnosing.diagnose import diagnose, told
from kovocab.diagnosing.extras import Package
from support.front import answer
from support.street import TRAINS

SECRET = "hf_" + "s" * 34


def test_it_is_true_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["engine"] == {"build": _core.build_profile, "lacks": [], "error": None}
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert 0 < found["memory"]["available"] <= found["memory"]["total"]
    assert found["processor"]["threads"] <= found["processor"]["all"]
    assert found["torch"] is None
    assert {each["name"] for each in found["packages"]} >= {"polars", "tokenizers"}
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"engine      of this version, built as {_core.build_profile}" in said
    for extra, of in found["extras"].items():
        there = all(each["fits"] for each in of["packages"])
        assert re.search(rf"^{'yes' if there else 'no '}  {extra} ", said, re.MULTILINE)
        assert (f"pip install 'kovocab[{extra}]'" in said) is not there


def test_it_loads_nothing_heavy_and_tells_no_secret_and_no_path(tmp_path: Path) -> None:
    code = (
        "import sys; from kovocab.cli.main import main\n"
        "assert main(['doctor']) == 0 and main(['doctor', '--json']) == 0\n"
        "heavy = {'torch', 'lightning', 'transformers', 'polars', 'tokenizers', 'numpy', 'lm_eval', 'ray'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    environment = os.environ | {"HF_TOKEN": SECRET, "WANDB_API_KEY": SECRET, "HF_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert ended.stderr == ""
    assert "hub         a token is set\n" in ended.stdout
    assert SECRET not in ended.stdout
    assert not re.search(r"(^|\s|\")/\w+", ended.stdout.replace("s3://, gs://, hf:// and https://", ""))
    assert list(tmp_path.iterdir()) == []


def test_a_token_in_a_file_counts_and_none_is_said(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    command = [sys.executable, "-m", "kovocab", "doctor"]
    environment = kept | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True).stdout
    assert "hub         no token: push and private models want one (`hf auth login`); HF_HUB_OFFLINE is set" in said
    (tmp_path / "token").write_text("\n")
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True).stdout
    assert "hub         no token:" in said
    (tmp_path / "token").write_text(SECRET)
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True).stdout
    assert "hub         a token is set;" in said


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that tells nothing of itself."""
    monkeypatch.setattr(room, "_read", lambda path: "")
    monkeypatch.setattr(room.shutil, "which", lambda name: None)
    monkeypatch.setattr(room.platform, "processor", lambda: "")
    monkeypatch.setattr(room, "packages", lambda extra=None: [Package("polars", ">=2", None)])


@pytest.mark.usefixtures("bare")
def test_where_nothing_is_known_or_there_it_says_so() -> None:
    said = told(diagnose())
    assert "processor   unknown: " in said
    assert "GPU         no NVIDIA driver\n" in said
    assert "browser     none found" in said
    assert "packages    polars is not installed: install kovocab again" in said
    assert "yes  " not in said
    assert re.search(r"^no   train .*\n +polars is not installed: pip install 'kovocab\[train\]'$", said, re.MULTILINE)


def test_an_engine_of_before_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_core, "nfc")
    monkeypatch.setattr(_core, "build_profile", "debug")
    found = diagnose()
    assert found["engine"]["lacks"] == ["nfc"]
    assert "engine      of another version: it lacks nfc; install kovocab again" in told(found)
    monkeypatch.undo()
    monkeypatch.setattr(_core, "build_profile", "debug")
    assert "built as debug, which is ten times as slow" in told(diagnose())


NVIDIA = """#!/bin/sh
echo "NVIDIA H200, 143771, 143000, 570.1"
echo "NVIDIA Odd, [N/A], [N/A], 570.1"
echo "what else it says"
"""


def test_gpus_are_those_of_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text(NVIDIA)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = diagnose()
    assert [gpu["name"] for gpu in found["gpus"]] == ["NVIDIA H200", "NVIDIA Odd"]
    said = told(found)
    assert "GPU         NVIDIA H200, 150.8 GB, 149.9 GB of it free, driver 570.1\n" in said
    assert "            NVIDIA Odd, unknown, unknown of it free, driver 570.1\n" in said
    for broken in ("#!/bin/sh\nexit 9\n", "no program"):
        (tmp_path / "nvidia-smi").write_text(broken)
        assert diagnose()["gpus"] is None


def test_torch_is_asked_where_that_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["doctor", "--gpu"]) == 0
    said = capsys.readouterr().out
    assert ("built for" in said) is TRAINS
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["doctor", "--gpu"]) == 0
    assert "            torch cannot be loaded: " in capsys.readouterr().out


@pytest.mark.parametrize(("line", "wanted"), [("doctor me", "me stands behind no flag"), ("doctor --jsn", "--jsn")])
def test_a_user_s_mistakes_are_a_line(line: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, line.split())
    assert (code, said.count("\n")) == (2, 1), said
    assert wanted in said


def test_what_it_finds_is_json() -> None:
    found: Any = diagnose()
    assert json.loads(json.dumps(found)) == found
