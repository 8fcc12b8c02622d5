"""Artefacts: replaced where they are of the same making, by their own files alone; never half of one."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kovocab.artefact import check_file, check_replaceable, new_file, new_folder, remove_artefact
from kovocab.errors import ArtefactError, UsageError
from kovocab.record import difference, read_record, write_record
from support.records import REFINED

MADE = {"settings": {"min_count": 5}, "corpus": {"files": [{"name": "a", "bytes": 1}]}}


def make(out: Path, text: str = "new", *, overwrite: bool = False, **made_from: object) -> None:
    made = MADE | made_from
    with new_folder(out, made, overwrite=overwrite, yields=["README.md"]) as folder:
        (folder / "weights").write_text(text)
        (folder / "README.md").write_text(f"card {text}")
        (folder / "sub").mkdir()
        (folder / "sub" / "more").write_text(text)
        write_record(folder, REFINED | made)


def with_vocabulary(out: Path, name: str = "vocabulary") -> None:
    with new_folder(out) as folder:
        (folder / name).write_text("ours")
        write_record(folder, REFINED)


def tree(folder: Path) -> dict[str, str | None]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {name: (folder / name).read_text() if (folder / name).is_file() else None for name in names}


def test_what_else_is_in_the_folder_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "out"
    make(out, "old")
    for name in (".git/refs/heads", "sub/notes"):
        (out / name).mkdir(parents=True)
    (out / ".git/HEAD").write_text("ref")
    (out / "model.gguf").write_text("converted")
    (out / "README.md").write_text("mine")
    with caplog.at_level(logging.WARNING):
        make(out)
    assert caplog.messages == [f"{out / 'README.md'} is not as kovocab wrote it, and stays as it is"]
    after = tree(out)
    record = after.pop("kovocab.json")
    assert record is not None
    assert after == {
        ".git": None, ".git/HEAD": "ref", ".git/refs": None, ".git/refs/heads": None, "README.md": "mine",
        "model.gguf": "converted", "sub": None, "sub/more": "new", "sub/notes": None, "weights": "new",
    }  # fmt: skip
    assert list(read_record(out)["files"]) == ["sub/more", "weights"]  # the card is theirs now
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    make(out, "third")
    assert (out / "README.md").read_text() == "mine"


def test_other_settings_need_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "old")
    before = tree(out)
    other = {"settings": {"min_count": 6}}
    with pytest.raises(ArtefactError, match=r"settings\.min_count was 5 and is 6; --overwrite replaces it"):
        check_replaceable(out, "refine", MADE | other)
    with pytest.raises(ArtefactError, match=r"settings\.min_count was 5 and is 6; --overwrite replaces it"):
        make(out, **other)
    assert tree(out) == before
    make(out, overwrite=True, **other)
    assert (out / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda out: (out / "weights").write_text("OLD"), "weights was changed since kovocab wrote it"),
        (lambda out: (out / "sub/more").unlink() or (out / "sub/more").symlink_to("../weights"), "more was changed"),
        (lambda out: write_record(out, {"verb": "refine", **MADE}), "does not say which files were written with it"),
        (lambda out: write_record(out, {"verb": "expand", **MADE}), "was made by `kovocab expand` and is not replaced"),
        (lambda out: (out / "kovocab.json").unlink(), "holds files that are not kovocab's"),
    ],
)
def test_what_is_not_kovocabs_any_more_is_refused(tmp_path: Path, spoil: Callable[[Path], object], wanted: str) -> None:
    out = tmp_path / "out"
    make(out, "old")
    spoil(out)
    before = tree(out)
    for overwrite in (False, True):
        with pytest.raises(ArtefactError, match=wanted):
            check_replaceable(out, "refine", MADE, overwrite=overwrite)
        with pytest.raises(ArtefactError, match=wanted):
            make(out, overwrite=overwrite)
        assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way_is_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "old")
    (out / "vocabulary").write_text("mine")
    before = tree(out)
    with pytest.raises(ArtefactError, match="vocabulary is not kovocab's and is in the way"):
        with_vocabulary(out)
    assert tree(out) == before


@pytest.mark.parametrize("path", [None, 3])
def test_what_is_no_path_is_said(path: Any) -> None:
    said = f"^the place to write is {path}; wanted the path of a file or folder$"
    for new in (new_file, new_folder):
        with pytest.raises(UsageError, match=said), new(path):
            pass


def test_a_file_in_the_place_of_a_folder_of_the_users_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "old")
    (out / "sub/mine").write_text("mine")
    (out / "z").write_text("mine")
    before = tree(out)
    with pytest.raises(ArtefactError, match="sub/mine is not kovocab's and is in the way"):
        with_vocabulary(out, "sub")
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out)
    (tmp_path / "link").symlink_to(out)
    for read in (out, str(tmp_path / "link"), out / ".." / "out"):
        with pytest.raises(ArtefactError, match="is what refine reads; choose another folder"):
            check_replaceable(out, "refine", reads=[read])
    with pytest.raises(ArtefactError, match=r"weights, which refine reads, is one of the files of"):
        check_replaceable(out, "refine", reads=[out / "weights"])
    (out / "decisions.csv").write_text("token,decision\n")  # theirs, and it stays
    check_replaceable(out, "refine", reads=[out / "decisions.csv", tmp_path])


def test_a_link_is_followed(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    (tmp_path / "latest").symlink_to("out")
    make(tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "out/weights").read_text() == "new"
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    with new_file(tmp_path / "link") as beside:
        beside.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_path_that_goes_up_from_nowhere_is_refused_and_nothing_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once `no` were made for it, `no/../mine` would be `mine`."""
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("mine")
    Path("there").mkdir()
    for path in ("no/../mine", "no/deep/../../mine", tmp_path / "no/../mine", "mine/../mine", "there/no/../../mine"):
        said = f"{path} goes up from .*, which is no folder"
        with pytest.raises(ArtefactError, match=said), new_file(path) as beside:
            beside.write_text("ours")
        with pytest.raises(ArtefactError, match=said):
            check_file(path, lambda _: False)
        with pytest.raises(ArtefactError, match=said):
            make(Path(path))
    assert tree(tmp_path) == {"mine": "mine", "there": None}
    with new_file("there/../new/one") as beside:
        beside.write_text("ours")
    assert Path("new/one").read_text() == "ours"


def test_a_device_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="/dev/null is no plain file"):
        check_file("/dev/null")
    assert not Path("/dev/null").is_file()


def test_an_artefact_is_removed_and_what_else_there_is_stays(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    (tmp_path / "b/notes").write_text("mine")
    remove_artefact(tmp_path / "a", "refine")
    remove_artefact(tmp_path / "b", "refine")
    assert tree(tmp_path) == {"b": None, "b/notes": "mine"}
    make(tmp_path / "c")
    (tmp_path / "c/weights").write_text("NEW")
    with pytest.raises(ArtefactError, match="weights was changed"):
        remove_artefact(tmp_path / "c", "refine")


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"a": 1, "more": 2}, {"a": 1}, None),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, "a.b.1.c was 2 and is 3"),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, "a.c was 2 and is null"),
        ({}, {"a": "가"}, 'a was null and is "가"'),
        ({"a": [1]}, {"a": [1, 2]}, "a.1 was null and is 2"),
        ({"settings": {"a": 1}}, {"settings": {"a": 1, "b": "x"}}, 'settings.b was not given and is "x"'),
        ({"settings": {"a": 1, "b": "x"}}, {"settings": {"a": 1}}, 'settings.b was "x" and is not given'),
        ({"a": (1, 2)}, {"a": [1, 2]}, None),
        ({"a": {}}, {"a": []}, "a was {} and is []"),
    ],
)
def test_a_difference_is_named_by_its_path_and_values(before: dict, now: dict, said: str | None) -> None:
    assert difference(before, now) == said
