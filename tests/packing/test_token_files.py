"""Token files are of the corpus that their record names: what moves while it is packed, and two that pack at once."""

import json
import os
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from kovocab.data.mix import Mixture
from kovocab.errors import ArtefactError, CorpusError, UsageError
from kovocab.packing.splitting import PARTS
from kovocab.packing.token_files import Packing, Source, TokenFiles
from kovocab.reading import readers
from support.base import LENGTH, corpus, pack, save_tokenizer, texts

PACKING = Packing(LENGTH, 0.1)


@pytest.fixture
def folder(tmp_path):
    """A corpus of three files."""
    (tmp_path / "web").mkdir()
    for number in range(3):
        corpus(tmp_path / "web", f"{number}", texts(60, seed=number))
    return tmp_path / "web"


@pytest.fixture
def source(folder):
    return Source("web", str(folder))


def edit(path, at):
    """A letter of a text, in place; its length stays."""
    data = path.read_bytes()
    place = data.index(b"new words", at)
    path.write_bytes(data[:place] + b"new wards" + data[place + 9 :])


def test_the_record_names_all_that_the_corpus_holds(source, folder, tokenizer, tmp_path):
    packed = pack(source, tokenizer, tmp_path / "tokens", PACKING)
    rows = packed.record["corpus"]["files"]
    assert [row["name"] for row in rows] == ["0.jsonl", "1.jsonl", "2.jsonl"]
    for row in rows:
        data = (folder / row["name"]).read_bytes()
        assert row == {
            "name": row["name"],
            "bytes": len(data),
            "contents": blake2b(data, digest_size=16).hexdigest(),
        }
    text = (packed.folder / "kovocab.json").read_text()
    assert str(tmp_path) not in text


def test_copies_and_normal_forms_are_the_source_s(folder, tokenizer, tmp_path):
    plain = pack(Source("web", str(folder)), tokenizer, tmp_path / "tokens", PACKING)
    corpus(tmp_path / "web", "3", [unicodedata.normalize("NFD", text) for text in texts(60, seed=0)])
    every = Source("web", str(folder), normalize="nfc")
    twice = pack(every, tokenizer, tmp_path / "tokens", PACKING)
    once = pack(replace(every, deduplicate=True), tokenizer, tmp_path / "tokens", PACKING)
    assert len({packed.folder for packed in (plain, twice, once)}) == 3
    whole = texts(60, seed=0) + texts(60, seed=1) + texts(60, seed=2)
    left = 240 - len(dict.fromkeys(unicodedata.normalize("NFC", text) for text in whole))
    assert once.record["repeated"]["documents"] == left >= 60
    counted = [sum(packed.record[part]["documents"] for part in PARTS) for packed in (plain, twice, once)]
    assert counted == [180, 240, 240 - left]
    assert "repeated" not in plain.record
    assert once.record["corpus"] | {"files": None} == {
        "kind": "files",
        "column": "text",
        "normalize": "nfc",
        "deduplicate": True,
        "bytes": once.record["corpus"]["bytes"],
        "files": None,
    }
    with pytest.raises(UsageError, match=r"data\.sources: web: encoding is 'latin-1'; wanted utf-8"):
        Source("web", str(folder), encoding="latin-1")


def test_ends_are_those_of_the_documents(source, tokenizer, tmp_path):
    packed = pack(source, tokenizer, tmp_path / "tokens", PACKING)
    eos = packed.record["eos_id"]
    for part in PARTS:
        tokens, ends = packed.tokens(part), packed.ends(part)
        assert ends.tolist() == (np.flatnonzero(tokens == eos) + 1).tolist()
        assert len(ends) == packed.record[part]["documents"] > 1


def test_the_same_corpus_elsewhere_is_the_same(source, folder, tokenizer, tmp_path):
    first = pack(source, tokenizer, tmp_path / "tokens", PACKING)
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    moved = folder.rename(tmp_path / "elsewhere")
    assert pack(Source("web", str(moved)), tokenizer, tmp_path / "tokens", PACKING).folder == first.folder
    again = pack(Source("web", str(moved)), tokenizer, tmp_path / "fresh", PACKING)
    for name in ("kovocab.json", "train.bin", "train.ends", "validation.bin", "validation.ends"):
        assert (again.folder / name).read_bytes() == (first.folder / name).read_bytes()


@pytest.mark.parametrize("fingerprint", ["quick", "full"])
@pytest.mark.parametrize("hides", [False, True])
def test_an_edit_of_the_same_length_is_never_missed(fingerprint, hides, ko_small, tokenizer, tmp_path, monkeypatch):
    """Of real text."""
    monkeypatch.setattr("kovocab.packing.memo.RACY", 0)
    path = corpus(tmp_path, "web", ko_small.head(3_000).to_list())
    time.sleep(0.02)
    source, stat = Source("web", str(path)), path.stat()
    assert stat.st_size > 800_000  # a sample is 192 KiB
    first = pack(source, tokenizer, tmp_path / "tokens", PACKING, fingerprint)
    assert pack(source, tokenizer, tmp_path / "tokens", PACKING, fingerprint).folder == first.folder
    data = path.read_bytes()
    place = data.index(b"\\uac00", stat.st_size // 4)
    path.write_bytes(data[:place] + b"\\uac01" + data[place + 6 :])
    if hides:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    second = pack(source, tokenizer, tmp_path / "tokens", PACKING, fingerprint)
    assert second.folder != first.folder
    assert (second.folder / "train.bin").read_bytes() != (first.folder / "train.bin").read_bytes()


def grows(path):
    with path.open("a") as file:
        file.write(json.dumps({"text": "나무 나무"}) + "\n")


def replaced(path):
    stat, beside = path.stat(), path.with_name("beside")
    beside.write_bytes(path.read_bytes())
    edit(beside, 0)
    os.utime(beside, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    beside.replace(path)


def hidden(path):
    stat = path.stat()
    edit(path, 3_000)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


CHANGES = {
    "grows": (grows, "0.jsonl changed"),
    "shrinks": (lambda path: os.truncate(path, path.read_bytes().rindex(b"\n{") + 1), "0.jsonl changed"),
    "is edited": (lambda path: edit(path, 3_000), "0.jsonl changed"),
    "is edited and hides it": (hidden, "0.jsonl changed"),
    "is replaced": (replaced, "0.jsonl changed"),
    "goes": (Path.unlink, "0.jsonl was removed"),
    "comes": (lambda path: grows(path.with_name("3.jsonl")), "3.jsonl was added"),
}


@pytest.mark.parametrize("fingerprint", ["quick", "full"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_corpus_that_changes_while_it_is_packed(what, fingerprint, source, folder, tokenizer, tmp_path, monkeypatch):
    change, says = CHANGES[what]
    read = readers.read_file

    def meanwhile(path, how, start):
        yield from read(path, how, start=start)
        if path.name == "0.jsonl":  # it was read to its end
            change(path)

    with monkeypatch.context() as patched:
        patched.setattr(readers, "read_file", meanwhile)
        with pytest.raises(CorpusError, match=rf"{says} while it was packed; wanted files that stand still"):
            pack(source, tokenizer, tmp_path / "tokens", PACKING, fingerprint)
    assert list((tmp_path / "tokens").glob("*")) == []
    packed = pack(source, tokenizer, tmp_path / "tokens", PACKING, fingerprint)
    assert packed.record["train"]["documents"] + packed.record["validation"]["documents"] > 100


def test_a_corpus_that_changes_between_the_settings_and_packing(source, folder, tokenizer, tmp_path):
    files = TokenFiles(tokenizer, tmp_path / "tokens", PACKING)
    settled = files.identity(source)
    grows(folder / "1.jsonl")
    with pytest.raises(CorpusError, match=r"1\.jsonl changed since the run began"):
        files.pack(source)
    assert files.identity(source) == settled != TokenFiles(tokenizer, tmp_path, PACKING).identity(source)


def test_what_is_packed_serves_a_run_to_its_end(source, folder, tokenizer, tmp_path):
    """What it trains on is what its record names, whatever becomes of the corpus."""
    made = Mixture(str(tokenizer), [source], length=LENGTH, tokens_dir=str(tmp_path / "tokens"))
    made.prepare_data()
    before = made.identity()
    grows(folder / "1.jsonl")
    made.prepare_data()
    made.setup("fit")
    assert made.identity() == before
    assert len(list((tmp_path / "tokens").glob("web.*"))) == 1


PACKS = """
import logging, sys, time
from pathlib import Path
from kovocab.reading import readers
from kovocab.packing.token_files import Packing, Source, TokenFiles
tokenizer, corpus, tokens, length = sys.argv[1:]
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
read = readers.read_file

def waiting(path, how, start):
    print("reads", flush=True)
    sys.stdin.readline()
    yield from read(path, how, start=start)

readers.read_file = waiting
packed = TokenFiles(tokenizer, tokens, Packing(int(length), 0.1)).pack(Source("web", corpus))
print((packed.folder / "train.bin").stat().st_ino, packed.block("train", 0).tolist(), flush=True)
"""


def test_two_that_pack_the_same_at_once(tokenizer, tmp_path):
    path = corpus(tmp_path, "web", texts(300))
    command = [sys.executable, "-c", PACKS, tokenizer, path, tmp_path / "tokens", str(LENGTH)]
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    children = [subprocess.Popen([str(part) for part in command], text=True, **pipes) for _ in range(2)]
    wanted = ("reads\n", "waiting for another process that packs the same into")
    first = [next(line for line in child.stdout if line.startswith(wanted)) for child in children]
    assert sorted(line == "reads\n" for line in first) == [False, True]
    if first[0] != "reads\n":  # the one that the other waits for goes first
        children.reverse()
    said = [child.communicate("\n", timeout=60)[0].splitlines()[-1] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert len(set(said)) == 1, "both have the first's files open"
    (folder,) = (tmp_path / "tokens").glob("web.*")
    assert {path.name for path in (tmp_path / "tokens").iterdir()} <= {folder.name, ".contents.json"}
    fresh = pack(Source("web", str(path)), tokenizer, tmp_path / "fresh", PACKING)
    for name in ("kovocab.json", "train.bin", "train.ends", "validation.bin", "validation.ends"):
        assert (folder / name).read_bytes() == (fresh.folder / name).read_bytes()


@pytest.mark.parametrize("first", ["abc", 1.5, True, -1])
def test_a_record_beside_the_tokenizer_that_says_no_number(first, source, tmp_path):
    save_tokenizer(tmp_path)
    (tmp_path / "kovocab.json").write_text(json.dumps({"verb": "refine", "first_new_id": first}))
    with pytest.raises(ArtefactError, match=r"kovocab\.json is not what .*: first_new_id is .*; wanted a whole number"):
        pack(source, tmp_path, tmp_path / "tokens", PACKING)


def test_a_fingerprint_that_there_is_not(source, tokenizer):
    with pytest.raises(UsageError, match=r"data\.fingerprint is 'some'; wanted quick or full"):
        Mixture(str(tokenizer), [source], fingerprint="some")


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_is_refused_before_the_corpus_is_read(place, source, tokenizer, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    files = TokenFiles(tokenizer, tmp_path / place, PACKING)
    if place == "/proc/nowhere":  # which the system takes for one that may be written to
        with pytest.raises(ArtefactError, match="cannot be written: No such file or directory"):
            files.pack(source)
        return
    monkeypatch.setattr(files, "_hashes", None)
    with pytest.raises(ArtefactError, match=r"web cannot be written: .*file is no folder that may be written to"):
        files.check([source])


def test_an_empty_source_is_named_before_another_is_packed(source, tokenizer, tmp_path):
    (tmp_path / "none").mkdir()
    for name in "ab":
        corpus(tmp_path / "none", name, [])
    files = TokenFiles(tokenizer, tmp_path / "tokens", PACKING)
    with pytest.raises(CorpusError, match=r"data\.sources: none \(.*none\) is empty; wanted text"):
        files.check([source, Source("none", str(tmp_path / "none"))])
    corpus(tmp_path / "none", "b", texts(60))
    assert files.pack(Source("some", str(tmp_path / "none"))).record["train"]["documents"] > 0


def test_a_source_of_one_document_says_what_it_comes_to(tokenizer, tmp_path):
    source = Source("one", str(corpus(tmp_path, "one", ["나무 그늘 " * 100])))
    told = r"one \(.*\) has 1 document, with 0 tokens to train on and \d+ held out; wanted at least one block of 16 "
    with pytest.raises(CorpusError, match=told):
        pack(source, tokenizer, tmp_path, PACKING)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"name": "x" * 151}, "is too long; wanted at most 150 bytes"),
        ({"name": "한" * 51}, "is too long; wanted at most 150 bytes"),
        ({"corpus": ""}, "has the corpus ''; wanted a path, or several"),
        ({"corpus": []}, "has the corpus"),
        ({"corpus": ["ko.txt", ""]}, "has the corpus"),
    ],
)
def test_a_source_that_cannot_be_is_refused(settings, says):
    with pytest.raises(UsageError, match=says):
        Source(**{"name": "web", "corpus": "ko.txt"} | settings)


def test_what_is_in_the_way_of_a_source_is_named_before_another_is_packed(source, tokenizer, tmp_path):
    files, other = TokenFiles(tokenizer, tmp_path / "tokens", PACKING), replace(source, name="other")
    theirs = files.place(other) / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(ArtefactError, match=r"other\.\w+ holds files that are not kovocab's"):
        files.check([source, other])
    assert theirs.read_text() == "mine"
    theirs.unlink()
    files.check([source, other])
    assert files.pack(other).folder == theirs.parent
