"""Extras as the metadata have them: each has its use, each package its version, and the nested ones are found."""

import tomllib
from pathlib import Path

import pytest

from kovocab.diagnosing import extras
from kovocab.diagnosing.extras import USES, Package, known, packages

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_extra_of_users_has_its_use() -> None:
    assert USES.keys() == PROJECT["optional-dependencies"].keys() - {"test", "docs", "dev"}


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "alpha>=1",
        "old>=1; python_version < '3'",
        "beta<3,>=2; extra == 'train'",
        "kovocab[train]; extra == 'tasks'",
        "gamma; extra == 'tasks'",
        "delta>=1; extra == 'report'",
    ]
    versions = {"alpha": "1.5", "beta": "3.1", "gamma": "0.1rc1"}
    monkeypatch.setattr(extras, "requires", lambda name: lines)
    monkeypatch.setattr(extras, "_version", versions.get)


@pytest.mark.usefixtures("metadata")
def test_what_is_there_and_what_fits() -> None:
    assert packages() == [Package("alpha", ">=1", "1.5")]
    assert packages("tasks") == [Package("beta", "<3,>=2", "3.1"), Package("gamma", "", "0.1rc1")]
    assert [each.fits for each in packages("tasks")] == [False, True]
    assert [str(each) for each in packages("tasks")] == ["beta 3.1, and <3,>=2 is wanted", "gamma 0.1rc1"]
    assert list(map(str, packages("report"))) == ["delta is not installed"]
    assert known() == ["train", "tasks", "report"]


def test_of_this_very_installation() -> None:
    found = {each.name: each for each in packages()}
    assert found["polars"].fits
    assert "train" in known()
    names = {each.name for each in packages("qlora")}
    assert names >= {"torch", "peft", "bitsandbytes"}  # with those of train
