"""Packing that was killed goes on where it was, with the same bytes; and what is damaged, or another's, is not used."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from kovocab.errors import ArtefactError, UsageError
from kovocab.packing.token_files import Packing, Source, TokenFiles

FILES = ("train.bin", "train.ends", "validation.bin", "validation.ends", "validation.jsonl", "kovocab.json")
PACKING = Packing(64, 0.02)

PACKS = """
import logging, os, signal, sys
from itertools import count
from kovocab import progress
from kovocab.packing import kept
from kovocab.reading import readers
from kovocab.packing.token_files import Packing, Source, TokenFiles
from kovocab.reading import blocks

tokenizer, corpus, out, end, at, threads, *copies = sys.argv[1:]
kept.EVERY, kept._WORTH, progress.EVERY = 0.0, 0, 0.0
readers.BATCH_SIZE = blocks.BLOCK = 100_000
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
times, keep = count(1), kept.Kept.keep

def keeping(self, *said):
    here = next(times) == int(at)
    if here and end == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    keep(self, *said)
    if here and end == "behind":
        os.kill(os.getpid(), signal.SIGKILL)

kept.Kept.keep = keeping
TokenFiles(tokenizer, out, Packing(64, 0.02), threads=int(threads)).pack(
    Source("ko", corpus, deduplicate=bool(copies))
)
"""


@pytest.fixture(scope="module")
def corpus(ko_small, tmp_path_factory):
    """Three files of different kinds."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = ko_small.head(6_000).alias("text").to_frame()
    texts[:3_000].write_parquet(folder / "a.parquet")
    texts[3_000:3_001].write_ndjson(folder / "b.jsonl")
    texts[3_001:].write_ndjson(folder / "c.jsonl")
    return folder


@pytest.fixture(scope="module")
def whole(corpus, base_model_file, tmp_path_factory):
    """The token files of a run that nobody killed."""
    out = tmp_path_factory.mktemp("whole")
    return TokenFiles(base_model_file, out, PACKING, threads=1).pack(Source("ko", str(corpus))).folder


def run(corpus, tokenizer, out, end="never", at=0, threads=2, *copies):
    command = [sys.executable, "-c", PACKS, tokenizer, corpus, out, end, at, threads, *copies]
    return subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, timeout=120, check=False)


def check_same(out, whole):
    (folder,) = out.glob("ko.*")
    for name in FILES:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert {path.name for path in out.iterdir()} <= {folder.name, ".contents.json"}


def test_it_goes_on_where_it_was_killed(corpus, whole, base_model_file, tmp_path):
    ends = [("before", 2, 2), ("behind", 3, 3), ("behind", 2, 1), ("before", 3, 2)]
    said = []
    for end, at, threads in ends:
        child = run(corpus, base_model_file, tmp_path, end, at, threads)
        assert child.returncode == -signal.SIGKILL, child.stdout
        said += [line for line in child.stdout.splitlines() if "goes on behind" in line]
        assert not list(tmp_path.glob("ko.*"))
    child = run(corpus, base_model_file, tmp_path)
    assert child.returncode == 0
    assert len(said) == 3
    assert said[0].startswith("packing of ko goes on behind 0 files and ")
    assert "packing of ko goes on behind 2 files and " in child.stdout
    check_same(tmp_path, whole)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_same_bytes_by_any_number_of_threads(threads, corpus, whole, base_model_file, tmp_path):
    assert run(corpus, base_model_file, tmp_path, threads=threads).returncode == 0
    check_same(tmp_path, whole)


@pytest.fixture(scope="module")
def copied(corpus, ko_small, tmp_path_factory):
    """The corpus, with a file of copies between its own."""
    folder = tmp_path_factory.mktemp("copied")
    for path in corpus.iterdir():
        (folder / path.name).symlink_to(path)
    copies = pl.concat([ko_small[1_000:4_000], ko_small[6_000:6_100], ko_small[6_000:6_100]])
    copies.alias("text").to_frame().write_parquet(folder / "b2.parquet")
    return folder


def test_what_was_seen_is_known_after_a_kill(copied, base_model_file, tmp_path):
    source = Source("ko", str(copied), deduplicate=True)
    whole = TokenFiles(base_model_file, tmp_path / "whole", PACKING, threads=1).pack(source)
    texts = pl.concat([pl.read_parquet(copied / "a.parquet")["text"], pl.read_parquet(copied / "b2.parquet")["text"]])
    texts = pl.concat([texts, *(pl.read_ndjson(copied / f"{name}.jsonl")["text"] for name in "bc")])
    assert whole.record["repeated"] == {
        "documents": len(texts) - texts.n_unique(),
        "bytes": int(texts.str.len_bytes().sum()) - int(texts.unique().str.len_bytes().sum()),
    }
    out = tmp_path / "out"
    for end, at, threads in [("before", 3, 2), ("behind", 3, 3), ("before", 4, 1), ("behind", 2, 2), ("before", 3, 2)]:
        child = run(copied, base_model_file, out, end, at, threads, "copies")
        assert child.returncode == -signal.SIGKILL, child.stdout
        assert not list(out.glob("ko.*"))
    (folder,) = out.glob(".ko.*.packing")
    assert (folder / "documents.seen").stat().st_size > 16 * 1_000
    child = run(copied, base_model_file, out, "never", 0, 2, "copies")
    assert child.returncode == 0
    assert "packing of ko goes on behind " in child.stdout
    check_same(out, whole.folder)


@pytest.mark.parametrize("damage", ["shorten", "flip"])
def test_damage_of_what_was_seen_is_not_gone_on_with(damage, copied, base_model_file, tmp_path, caplog):
    assert run(copied, base_model_file, tmp_path, "behind", 4, 2, "copies").returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob(".ko.*.packing")
    {"shorten": shorten, "flip": flip}[damage](folder / "documents.seen")
    source = Source("ko", str(copied), deduplicate=True)
    made = TokenFiles(base_model_file, tmp_path, PACKING).pack(source)
    assert any("what was kept there is damaged; packing begins anew" in line for line in caplog.messages)
    TokenFiles(base_model_file, tmp_path / "whole", PACKING, threads=1).pack(source)
    check_same(tmp_path / "whole", made.folder)


def test_what_is_known_of_documents_is_bounded(copied, base_model_file, tmp_path):
    files = TokenFiles(base_model_file, tmp_path, PACKING)
    files._memory = 200_000
    with pytest.raises(UsageError, match=r"deduplicate: what is known of .* wanted a larger --memory"):
        files.pack(Source("ko", str(copied), deduplicate=True))


def shorten(path):
    os.truncate(path, path.stat().st_size - 1)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["progress.json", "train.bin", "validation.ends"])
@pytest.mark.parametrize("damage", [shorten, flip, Path.unlink], ids=lambda damage: damage.__name__)
def test_what_is_damaged_is_packed_anew(name, damage, corpus, whole, base_model_file, tmp_path, caplog):
    assert run(corpus, base_model_file, tmp_path, "behind", 4).returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob(".ko.*.packing")
    damage(folder / name)
    TokenFiles(base_model_file, tmp_path, PACKING).pack(Source("ko", str(corpus)))
    check_same(tmp_path, whole)
    gone = name == "progress.json" and damage is Path.unlink
    assert any("what was kept there is damaged; packing begins anew" in line for line in caplog.messages) != gone


def test_a_folder_of_that_name_that_is_another_s_stays(corpus, base_model_file, tmp_path):
    files, source = TokenFiles(base_model_file, tmp_path, PACKING), Source("ko", str(corpus))
    name = files.place(source).name
    theirs = tmp_path / f".{name}.packing" / "notes.txt"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    with pytest.raises(ArtefactError, match=r"notes\.txt is not kovocab's and is in the way; move it"):
        files.pack(source)
    assert theirs.read_text() == "mine"
    theirs.rename(theirs.with_name("lock"))
    with pytest.raises(ArtefactError, match=r"lock is not kovocab's and is in the way; move it"):
        files.pack(source)
    assert theirs.with_name("lock").read_text() == "mine"


def test_a_disk_that_is_full_is_said(corpus, base_model_file, tmp_path):
    out = tmp_path / "tokens"
    files = TokenFiles(base_model_file, out, PACKING)
    out.mkdir()
    out.chmod(0o500)
    if os.access(out, os.W_OK):
        pytest.skip("root writes everywhere")
    with pytest.raises(ArtefactError, match="cannot be written"):
        files.pack(Source("ko", str(corpus)))


def test_files_of_a_corpus_are_one_text(corpus, whole, base_model_file, tmp_path):
    """In one file what three hold: the same bytes, but for what the record says of the corpus."""
    frames = [pl.read_parquet(corpus / "a.parquet"), *(pl.read_ndjson(corpus / f"{name}.jsonl") for name in "bc")]
    pl.concat(frames).write_parquet(tmp_path / "all.parquet")
    made = TokenFiles(base_model_file, tmp_path / "out", PACKING).pack(Source("ko", str(tmp_path / "all.parquet")))
    for name in FILES[:-1]:
        assert (made.folder / name).read_bytes() == (whole / name).read_bytes()
