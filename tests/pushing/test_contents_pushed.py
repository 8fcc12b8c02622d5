"""What of an export goes, and everything that keeps it from going."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kovocab.errors import ArtefactError
from kovocab.pushing.contents import look_over
from kovocab.record import RECORD, read_record, write_record
from support.exported import CARD, save_export
from support.front import tree


def test_an_export_goes_as_it_is(tmp_path: Path) -> None:
    folder = save_export(tmp_path / "x")
    before = tree(folder)
    found = look_over(folder)
    names = ["README.md", "config.json", RECORD, "model.safetensors", "tokenizer.json"]
    assert list(found.sizes) == names
    assert found.sizes == {name: (folder / name).stat().st_size for name in names}
    assert (found.foreign, found.left_out) == ([], [])
    assert found.metadata["base_model"] == "some/base"
    assert tree(folder) == before


def test_what_lies_beside_it_goes_too_but_for_what_is_hidden(tmp_path: Path) -> None:
    folder = save_export(tmp_path / "x", verb="transfer")
    for name in (".git/config", ".env", "__pycache__/a.pyc", "gguf/m.gguf", ".gitattributes", "figures/.DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "README.md").write_text(CARD + "edited\n")
    found = look_over(folder)
    assert found.foreign == [".gitattributes", "gguf/m.gguf"]
    assert sorted(found.left_out) == [".env", ".git/", "__pycache__/", "figures/.DS_Store"]
    assert found.metadata["datasets"] == ["some/text"]


def unfinished(folder: Path) -> None:
    record = read_record(folder)
    del record["files"]
    write_record(folder, record)


def of_refine(folder: Path) -> None:
    write_record(folder, read_record(folder) | {"verb": "refine"})


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "weights", "w") as archive:
        archive.writestr("archive/data.pkl", b"")


def edited(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def added(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no card": (lambda folder: (folder / "README.md").unlink(), "has no README.md; wanted the model card"),
    "no record": (lambda folder: (folder / RECORD).unlink(), "is not an artefact of `kovocab export or transfer`"),
    "of refine": (of_refine, "was made by `kovocab refine`; wanted one made by `kovocab export or transfer`"),
    "a record that is none": (edited(RECORD, "{"), "kovocab.json cannot be read"),
    "unfinished": (unfinished, "does not say which files belong to it; wanted a whole export"),
    "weights gone": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is not there"),
    "config gone": (lambda folder: (folder / "config.json").unlink(), "config.json is not there, and belongs to"),
    "weights changed": (added("model.safetensors", b"other"), "is not what `kovocab export` wrote there"),
    "weights added": (added("other.safetensors", b"x"), "is none of the files that `kovocab export` wrote"),
    "tokenizer changed": (edited("tokenizer.json", "{}"), "tokenizer.json is not what `kovocab export` wrote"),
    "a pickle": (added("pytorch_model.bin", b"x"), "pytorch_model.bin can hold a pickle"),
    "a pickle by another name": (added("notes", pickle.dumps({})), "notes can hold a pickle"),
    "a pickle in an archive": (zipped, "weights can hold a pickle"),
    "a link": (lambda folder: (folder / "a").symlink_to("/etc/hostname"), "a is a link"),
    "a link to a folder": (lambda folder: (folder / "a").symlink_to("/etc"), "a is a link"),
    "a pipe": (lambda folder: os.mkfifo(folder / "a"), "a is no plain file"),
    "a path on the card": (
        edited("README.md", CARD + "from /home/me/x\n"),
        "which was edited, has the path /home/me/x",
    ),
    "a path in the config": (
        edited("config.json", json.dumps({"_name_or_path": "/home/me/base"})),
        "line 1 of config.json, which was edited, has the path /home/me/base",
    ),
    "a secret": (edited("README.md", CARD + f"\nhf_{'a' * 34}\n"), "has a token of Hugging Face"),
    "a secret in a script": (edited("run.sh", f"export HF_TOKEN=hf_{'a' * 34}"), "line 1 of run.sh has a token"),
    "a secret in a log": (added("train.log", b"token hf_" + b"a" * 34), "line 1 of train.log has a token"),
    "a secret in a file of no kind": (added("LICENSE", b"\nhf_" + b"a" * 34), "line 2 of LICENSE has a token"),
    "a path in a notebook": (added("a.ipynb", b'{"source": "/home/me/x"}'), "line 1 of a.ipynb has the path /home/me"),
    "a secret in text that is no UTF-8": (
        added("ko.MD", "가".encode("cp949") + b" hf_" + b"a" * 34),
        "line 1 of ko.MD has a token",
    ),
    "a card without YAML": (edited("README.md", "# A model\n"), "says nothing to the hub"),
    "a card with broken YAML": (edited("README.md", "---\na: [\n---\n"), "README.md: "),
    "a card whose YAML is a list": (edited("README.md", "---\n- a\n---\n"), "README.md: "),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_go_is_named_in_a_line(what: str, tmp_path: Path) -> None:
    folder = save_export(tmp_path / "x")
    spoil, wanted = REFUSED[what]
    spoil(folder)
    with pytest.raises(ArtefactError) as refused:
        look_over(folder)
    assert wanted in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hf_aaa" not in str(refused.value)


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_no_folder(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtefactError, match="is no folder; wanted one that"):
        look_over(tmp_path / place)


def test_all_that_is_wrong_is_counted(tmp_path: Path) -> None:
    folder = save_export(tmp_path / "x")
    for number in range(5):
        (folder / f"{number}.pkl").write_bytes(b"x")
    with pytest.raises(ArtefactError, match=r"0\.pkl .*1\.pkl .*2\.pkl .*safetensors alone \(and 2 more\)"):
        look_over(folder)
