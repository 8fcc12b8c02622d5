"""What a run's folder binds to: settings by which steps were trained, and what of others differs by name and value."""

import json

import pytest

from kovocab.errors import ArtefactError
from kovocab.run.folder import SETTINGS, Run, compare

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


def test_digests_alone_are_not_shown():
    with pytest.raises(ArtefactError, match="run was trained with base of other content than the configuration now"):
        compare("run", {"base": DIGESTS["a"]}, {"base": DIGESTS["b"]})
