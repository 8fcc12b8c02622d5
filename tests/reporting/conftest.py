"""A street with a finished run, and the same measured."""

import json
import shutil
from pathlib import Path

import pytest

from support.measured import measure


@pytest.fixture(scope="session", autouse=True)
def charts() -> None:
    """What a report draws with."""
    for package in ("altair", "vl_convert"):
        pytest.importorskip(package, reason="pip install kovocab[report]")


@pytest.fixture
def walked(street: Path, tmp_path: Path) -> Path:
    """A copy of a street with a finished run, not measured."""
    for name in ("run", "tokenizer", "expanded"):
        shutil.copytree(street / name, tmp_path / name)
    for name in ("words.parquet",):
        shutil.copy(street / name, tmp_path / name)
    places = json.loads((street / "run/places.json").read_text())
    (tmp_path / "run/places.json").write_text(json.dumps(places | {"model": str(tmp_path / "expanded")}))
    return tmp_path


@pytest.fixture
def measured(walked: Path) -> Path:
    """The same, with an evaluation whose figures are known."""
    measure(walked)
    return walked
