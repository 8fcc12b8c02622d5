"""What there is of a run: found where it was noted, left out and said where it is not, without a path."""

import shutil
from pathlib import Path

import pytest

from kovocab.errors import ArtefactError
from kovocab.evaluating.places import note_places
from kovocab.measuring.runs import models_of
from kovocab.record import read_record, write_record


@pytest.fixture
def run(street, tmp_path):
    """A copy of the run and of the model that it began with, which may be changed."""
    run = Path(shutil.copytree(street / "run", tmp_path / "run"))
    shutil.copytree(street / "expanded", run / "expanded")
    note_places(run, run / "expanded", {})
    return run


def names(found):
    return [named.name for named in found["named"]]


def test_models_are_found_where_the_run_and_its_records_say(run, street):
    found = models_of(run, None, None, None)
    assert names(found) == ["base", "expanded", "stage 1"]
    assert [Path(named.folder) for named in found["named"]] == [street / "base", run / "expanded", run / "stages/1"]
    shutil.copytree(street / "export", run / "export")
    assert names(models_of(run, None, None, None)) == ["base", "expanded", "stage 1", "export"]


def test_a_base_that_is_not_there_is_left_out(run, street):
    record = read_record(run / "expanded", "expand")
    write_record(run / "expanded", record | {"base_model": "/nowhere/base"})
    found = models_of(run, None, None, None)
    assert names(found) == ["expanded", "stage 1"]
    assert [each["model"] for each in found["left_out"]] == ["base", "export"]
    assert "/" not in "".join(each["why"] for each in found["left_out"])
    assert names(models_of(run, str(street / "base"), None, None)) == ["base", "expanded", "stage 1"]
    shutil.rmtree(run / "expanded")
    found = models_of(run, None, None, None)
    assert names(found) == ["stage 1"]
    assert [each["model"] for each in found["left_out"]] == ["base", "expanded", "export"]
    assert names(models_of(run, str(street / "base"), None, None)) == ["base", "stage 1"]


def test_an_expanded_model_that_was_named_has_to_be_there(run, tmp_path):
    with pytest.raises(ArtefactError, match=r"gone is no folder that `kovocab expand` or `fit` left"):
        models_of(run, None, str(tmp_path / "gone"), None)


def test_a_stage_that_a_later_one_came_from_and_is_gone_is_told(run):
    shutil.move(run / "stages/1", run / "stages/3")
    found = models_of(run, None, None, None)
    assert names(found) == ["base", "expanded", "stage 3"]
    assert [each["model"] for each in found["left_out"]] == ["stage 1", "stage 2", "export"]
    assert found["left_out"][0]["why"] == "it is not there, and a later one is"


def test_what_is_no_stage_is_named(run):
    (run / "stages/1/kovocab.json").unlink()
    with pytest.raises(ArtefactError, match=r"stages/1 is not an artefact of `kovocab fit`"):
        models_of(run, None, None, None)
