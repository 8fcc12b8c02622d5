"""What a run's folder binds to: settings by which steps were trained, and what of others differs by name and value."""

import json
import os

import pytest

from kovocab.errors import ArtefactError
from kovocab.record import read_record, write_record
from kovocab.run.folder import SETTINGS, Run, compare, earlier
from kovocab.run.processes import LOCK, held
from support.records import trained

DIGESTS = {"a": "0" * 64, "b": "f" * 64}


def test_nothing_binds_before_a_step_was_kept(tmp_path):
    run = Run(tmp_path, tmp_path)
    begun = run.begin(1)
    assert list(begun.iterdir()) == []
    run.bind(1, {"column": "body"})
    assert run.done([{"column": "text"}]) == 0
    run.bind(1, {"column": "text"})
    assert json.loads((begun / SETTINGS).read_text()) == {"column": "text"}


@pytest.mark.parametrize("name", ["last.ckpt", "last.old"])
def test_steps_that_are_kept_bind(tmp_path, name):
    run = Run(tmp_path, tmp_path)
    begun = run.begin(1)
    run.bind(1, {"column": "body"})
    (begun / name).touch()
    run.bind(1, {"column": "text"})
    with pytest.raises(ArtefactError, match=r'stages/.1 was trained with column "body"; the configuration now gives'):
        run.done([{"column": "text"}])


def test_what_differs_is_named_by_path_and_value():
    before = {"data": {"ko": {"column": "body", "bytes": 7, "content": DIGESTS["a"]}}, "base": DIGESTS["a"]}
    now = {"data": {"ko": {"column": "text", "bytes": 8, "content": DIGESTS["b"]}}, "base": DIGESTS["a"]}
    compare("run", before, before)
    with pytest.raises(ArtefactError) as caught:
        compare("run", before, now)
    assert (
        'run was trained with data.ko.column "body"; the configuration now gives "text"; data.ko.bytes differ too. '
        in str(caught.value)
    )


@pytest.mark.parametrize(("before", "now"), [(None, "32-true"), ("32", None), ("bf16", "bf16-mixed"), (16, "16-mixed")])
def test_a_precision_has_several_names(before, now):
    compare("run", {"trainer": {"precision": before}}, {"trainer": {"precision": now}})
    with pytest.raises(ArtefactError, match=r'trainer.precision .*; the configuration now gives "64-true"'):
        compare("run", {"trainer": {"precision": before}}, {"trainer": {"precision": "64-true"}})


def test_digests_alone_are_not_shown():
    with pytest.raises(ArtefactError, match="run was trained with base of other content than the configuration now"):
        compare("run", {"base": DIGESTS["a"]}, {"base": DIGESTS["b"]})


def run_of(folder, stages):
    """A run whose stages were trained one after the other, and its settings."""
    settings, before = [], []
    for number in range(1, stages + 1):
        record = trained(90, 100) | {"stage": number, "of": stages, "tokens": 100 + number, "earlier": before}
        (folder / "stages" / str(number)).mkdir(parents=True)
        write_record(folder / "stages" / str(number), record)
        settings.append(record["settings"])
        before = [*before, earlier(record)]
    return Run(folder, folder), settings


def test_stages_that_changed_places_are_found(tmp_path):
    run, settings = run_of(tmp_path, 3)
    assert run.done(settings) == 3
    for one, other in (("1", "spare"), ("2", "1"), ("spare", "2")):
        (tmp_path / "stages" / one).rename(tmp_path / "stages" / other)
    with pytest.raises(ArtefactError, match=r"stages/1 holds stage 2 of its run; wanted stage 1"):
        run.done(settings)


def test_a_stage_of_another_run_is_found(tmp_path):
    run, settings = run_of(tmp_path / "run", 3)
    run_of(tmp_path / "other", 2)
    path = tmp_path / "other/stages/2"
    write_record(path, read_record(path) | {"tokens": 7})
    (tmp_path / "run/stages/2/kovocab.json").write_bytes((path / "kovocab.json").read_bytes())
    with pytest.raises(
        ArtefactError, match=r"stages/3 was trained from another stage 2 than .*: tokens was 102 and is 7"
    ):
        run.done(settings)
    write_record(path, read_record(path) | {"earlier": []})
    (tmp_path / "run/stages/2/kovocab.json").write_bytes((path / "kovocab.json").read_bytes())
    with pytest.raises(ArtefactError, match=r"stages/2 was trained after 0 stages, and there are 1"):
        run.done(settings)


def test_a_run_that_is_a_link_is_where_the_link_points(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk/run")
    begun = Run(tmp_path / "link", tmp_path / "base").begin(1)
    assert begun == tmp_path / "disk/run/stages/.1"
    assert begun.is_dir()
    assert (tmp_path / "link").is_symlink()


def test_a_lock_that_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    """A run that is done with a stage removes its lock; who had opened that file locks what nobody else will find."""
    lock, opened = tmp_path / LOCK, []

    def open_late(path, *args):
        opened.append(before(path, *args))
        if len(opened) == 1:
            lock.unlink()
        return opened[-1]

    before = os.open
    monkeypatch.setattr("kovocab.run.processes.os.open", open_late)
    with held(tmp_path):
        monkeypatch.undo()
        assert len(opened) == 2
        with pytest.raises(ArtefactError, match="is being trained by another process"), held(tmp_path):
            pass
