"""Token files are held to their record before anything is read of them."""

import json
import os
import shutil
import tracemalloc

import numpy as np
import pytest

from kovocab.data.mix import Mixture
from kovocab.errors import ArtefactError
from kovocab.packing.memo import Memo
from kovocab.packing.packed import PackedSource
from kovocab.packing.splitting import PARTS
from kovocab.packing.token_files import Packing, Source
from kovocab.record import read_record, write_record
from support.base import LENGTH, corpus, pack, save_tokenizer, texts


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tokenizer, a source, and its token files."""
    folder = tmp_path_factory.mktemp("made")
    save_tokenizer(folder)
    source = Source("web", str(corpus(folder, "web", texts(200))))
    return folder, source, pack(source, folder, folder / "tokens", Packing(LENGTH, 0.1)).folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the token files, in a folder like theirs."""
    return shutil.copytree(made[2], tmp_path / "tokens" / made[2].name)


def mixture(made, folder, **more):
    settings = {"length": LENGTH, "validation_share": 0.1, "tokens_dir": str(folder.parent)} | more
    return Mixture(str(made[0]), [made[1]], **settings)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def grow(path):
    path.write_bytes(path.read_bytes() + b"\0\0")


@pytest.mark.parametrize("name", [f"{part}.{kind}" for part in PARTS for kind in ("bin", "ends")])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 2), "has [0-9,]+ bytes and its record says [0-9,]+"),
        (grow, "has [0-9,]+ bytes and its record says [0-9,]+"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: os.truncate(path, 0), "has 0 bytes and its record says [0-9,]+"),
        (flip, "does not hold what was written"),
    ],
)
def test_a_token_file_that_is_not_what_was_written(name, spoil, says, made, folder):
    data = mixture(made, folder)
    data.prepare_data()
    spoil(folder / name)
    advice = f"; remove {folder}, and it is packed again$"
    for _ in range(2):  # and by no memo
        with pytest.raises(ArtefactError, match=rf"{name} {says}{advice}"):
            mixture(made, folder).prepare_data()
    if spoil is not flip:
        with pytest.raises(ArtefactError, match=rf"{name} {says}{advice}"):
            PackedSource(folder)
        with pytest.raises(ArtefactError, match=rf"{name} {says}{advice}"):
            mixture(made, folder).check()  # before a model is loaded
    shutil.rmtree(folder)
    again = mixture(made, folder)
    again.prepare_data()
    again.setup("fit")
    assert (folder / "train.bin").read_bytes() == (made[2] / "train.bin").read_bytes()


def change(key, value):
    def spoil(record):
        *path, last = key.split(".")
        for name in path:
            record = record[name]
        if value is None:
            del record[last]
        else:
            record[last] = value

    return spoil


DAMAGE = [
    ("length", None, "length"),
    ("length", "16", "length"),
    ("length", 0, "length"),
    ("length", True, "length"),
    ("length", LENGTH + 1, "is of something else: length was 17 and is 16"),
    ("dtype", "<u4", "train.bin has"),
    ("dtype", "<f8", "dtype"),
    ("dtype", ["<u2"], "dtype"),
    ("files", None, "files"),
    ("files", [], "files"),
    ("files", {}, "train.bin does not hold what was written"),
    ("train", None, "there is no train"),
    ("train", [1], "train is [1]"),
    ("validation.tokens", -1, "validation.tokens"),
    ("validation.tokens", 1e3, "validation.tokens"),
    ("validation.blocks", 0, "validation.blocks"),
    ("train.dropped_tokens", None, "train.dropped_tokens"),
    ("train.tokens", 10**30, "train.tokens"),
    ("documents_with_special_tokens", None, "documents_with_special_tokens"),
    ("corpus", None, "there is no corpus"),
    ("tokenizer", "another", 'is of something else: tokenizer was "another"'),
    ("verb", "fit", "wanted one made by `kovocab pack`"),
    ("verb", 5, "verb is 5"),
]


@pytest.mark.parametrize(("key", "value", "says"), DAMAGE)
def test_a_damaged_record_is_one_line(key, value, says, made, folder):
    record = json.loads((folder / "kovocab.json").read_text())
    change(key, value)(record)
    (folder / "kovocab.json").write_text(json.dumps(record))
    with pytest.raises(ArtefactError) as caught:
        mixture(made, folder).prepare_data()
    assert says in str(caught.value)
    assert str(caught.value).endswith(f"; remove {folder}, and it is packed again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff"])
def test_a_record_that_is_none_is_one_line(text, made, folder):
    (folder / "kovocab.json").write_text(text, encoding="latin-1")
    with pytest.raises(ArtefactError) as caught:
        mixture(made, folder).prepare_data()
    assert str(caught.value).endswith(f"; remove {folder}, and it is packed again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("fingerprint", "times"), [("quick", 1), ("full", 3)])
def test_contents_are_hashed_once_a_run(fingerprint, times, made, folder, monkeypatch):
    """And by `quick` once for all runs, of files that nobody touches."""
    monkeypatch.setattr("kovocab.packing.memo.RACY", 0)
    hashed, call = [], Memo.__call__

    def counted(self, paths):
        hashed.extend(path.name for path in paths if not self.knows([path]))
        return call(self, paths)

    monkeypatch.setattr(Memo, "__call__", counted)
    for _ in range(3):
        data = mixture(made, folder, fingerprint=fingerprint)
        for _ in range(4):  # as each stage does
            data.prepare_data()
            data.setup("fit")
    assert [hashed.count(f"{part}.{kind}") for part in PARTS for kind in ("bin", "ends")] == [times] * 4
    assert hashed.count("web.jsonl") == times


def test_a_worker_process_opens_it_by_name(made):
    import pickle

    packed = PackedSource(made[2])
    sent = pickle.dumps(packed)
    assert len(sent) < 1_000
    assert pickle.loads(sent).block("train", 0).tolist() == packed.block("train", 0).tolist()


def test_where_documents_begin_is_found_without_reading_all_their_ends(folder):
    """Of 5 M documents numpy would make 40 MB of floats, were the place that is looked for no unsigned number."""
    documents, record = 5_000_000, read_record(folder, "pack")
    np.arange(7, 7 * documents + 7, 7, dtype="<u8").tofile(folder / "train.ends")
    with (folder / "train.bin").open("r+b") as file:
        file.truncate(2 * 7 * documents)
    record["train"] |= {"tokens": 7 * documents, "documents": documents}
    write_record(folder, record)
    packed = PackedSource(folder)
    packed.boundaries("train", 0)
    tracemalloc.start()
    for index in (1, 1_000_000, packed.blocks("train") - 1):
        wanted = [place for place in range(LENGTH) if (LENGTH * index + place) % 7 == 0]
        assert packed.boundaries("train", index).tolist() == wanted
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
