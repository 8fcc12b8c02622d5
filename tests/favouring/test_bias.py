"""What a biased source promises, on random corpora and on real text; and that it is the same everywhere."""

import os
import pickle
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from kovocab.errors import ArtefactError, UsageError
from kovocab.favouring import bias as bias_file
from kovocab.favouring import passages as passages_file
from kovocab.favouring import pieces
from kovocab.favouring.bias import SEEN, biased, choose
from kovocab.favouring.passages import Passages
from kovocab.favouring.rates import Bias
from kovocab.record import read_record
from support.documents import passages_of, token_files, zipf

OLD, NEW, LENGTH = 20, 40, 16
SIZE = OLD + NEW


@pytest.fixture(params=[64, 1 << 22])
def at_once(request, monkeypatch):
    """In many stretches, and in one."""
    monkeypatch.setattr(passages_file, "AT_ONCE", request.param)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("passes", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("length", [8, 1000])
def test_every_new_token_is_seen_as_often_as_promised(seed, passes, length, tmp_path):
    documents = zipf(seed, 300, OLD, NEW)
    packed = token_files(tmp_path / "web", documents, OLD)
    passages = passages_of(documents, length)
    whole = [token for passage in passages for token in passage]
    budget = int(passes * len(whole))
    for bias in (Bias(passage=length), Bias(passage=length, share=0.6, max_passes=8), Bias(2, passage=length)):
        if bias.min_seen and passes < 1:
            continue
        found = choose(Passages(packed, SIZE, length), bias, budget, seed)
        most = bias.max_passes * int(np.ceil(passes))
        assert found.times.max() <= most == found.said["most"]
        assert (
            sum(times * len(passage) for times, passage in zip(found.times.tolist(), passages, strict=True)) <= budget
        )
        counts = np.bincount(whole, minlength=SIZE)[OLD:]
        read = [t for times, passage in zip(found.times.tolist(), passages, strict=True) for t in passage * times]
        seen = np.bincount(read, minlength=SIZE)[OLD:]
        assert found.counts.tolist() == counts.tolist()
        assert found.seen.tolist() == seen.tolist()
        assert (seen >= np.minimum(found.said["n"], most * counts)).all()
        if bias.min_seen:
            assert found.said["n"] == bias.min_seen
        elif found.said["n"]:
            assert found.said["level"] >= (1 - bias.share) * passes * 0.99


@pytest.mark.parametrize("seed", range(4))
def test_blocks_are_the_readings_in_their_order(seed, tmp_path):
    documents = zipf(seed, 200, OLD, NEW)
    packed = token_files(tmp_path / "web", documents, OLD, LENGTH)
    blocks = 3 * sum(map(len, documents)) // (2 * LENGTH)
    bias = Bias(passage=8, max_passes=3)
    source = biased(packed, SIZE, bias, blocks, seed)
    times = choose(Passages(packed, SIZE, 8), bias, blocks * LENGTH, seed).times.tolist()
    stream, begins = [], set()
    for turn in range(1, max(times) + 1):
        row, read_before = 0, False
        for document in documents:
            for at in range(0, len(document), 8):
                if times[row] >= turn:
                    if at == 0 or not read_before:
                        begins.add(len(stream))
                    stream += document[at : at + 8]
                read_before = times[row] >= turn
                row += 1
    assert source.blocks("train") == -(-len(stream) // LENGTH) <= blocks
    around = stream + stream[:LENGTH]
    for index in range(source.blocks("train")):
        at = index * LENGTH
        assert source.block("train", index).tolist() == around[at : at + LENGTH]
        places = {place - at for place in begins | {len(stream)} if at <= place < at + LENGTH}
        found = source.boundaries("train", index)
        assert found.dtype == np.int64
        assert set(found.tolist()) - {place - at for place in range(len(stream) + 1, at + LENGTH)} == places
    assert source.block("validation", 0).tolist() == packed.block("validation", 0).tolist()
    sent = pickle.dumps(source)
    assert len(sent) < 1_000
    assert pickle.loads(sent).block("train", 1).tolist() == source.block("train", 1).tolist()
    table = pl.read_parquet(source.folder / SEEN)
    assert table["id"].to_list() == list(range(OLD, SIZE))
    assert table["seen"].to_list() == np.bincount(stream, minlength=SIZE)[OLD:].tolist()


def test_what_most_passages_are_read_stays_whole_documents(tmp_path):
    """Of a long document nothing is left out that others get: what is drawn for all is drawn for documents."""
    plain = [[1] * 50 for _ in range(400)]
    packed = token_files(tmp_path / "web", [*plain, [OLD] * 3], OLD)
    found = choose(Passages(packed, SIZE, 8), Bias(), 10_000, 0)
    per_document = found.times[:-1].reshape(400, -1)
    assert (per_document == per_document[:, :1]).all()
    assert 150 < per_document[:, 0].sum() < 250


def test_a_corpus_of_one_book_is_read_in_parts(tmp_path, monkeypatch):
    packed = token_files(tmp_path / "web", [[1, 2] * 2_000], OLD)
    with pytest.raises(UsageError, match="the documents of web do not fit in the 1,000 tokens that the run takes"):
        choose(Passages(packed, SIZE, 8), Bias(passage=8), 1_000, 0)
    monkeypatch.setattr(bias_file, "WHOLE", 80)
    times = choose(Passages(packed, SIZE, 8), Bias(passage=8), 1_000, 0).times.reshape(50, 10)
    assert (times == times[:, :1]).all()
    assert times[:, 0].sum() == 12


def test_two_kinds_in_turn_are_both_read(tmp_path):
    """As pairs in both directions are: every second document would be one of them alone."""
    packed = token_files(tmp_path / "web", [[kind] * 10 for _ in range(500) for kind in (1, 2)], OLD)
    times = choose(Passages(packed, SIZE), Bias(), 5_000, 0).times
    assert times.sum() == 500
    assert 200 < times[::2].sum() < 300


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_files_with_any_number_of_threads(tmp_path):
    documents = zipf(3, 500, OLD, NEW)
    program = (
        "import sys; from pathlib import Path; from kovocab.packing.packed import PackedSource\n"
        "from kovocab.favouring.bias import biased; from kovocab.favouring.rates import Bias\n"
        f"print(biased(PackedSource(Path(sys.argv[1])), {SIZE}, Bias(), 100, 7).folder)"
    )
    found = []
    for threads in ("1", "2", "7"):
        packed = token_files(tmp_path / threads / "web", documents, OLD)
        done = subprocess.run(
            [sys.executable, "-c", program, str(packed.folder)],
            env=os.environ | {"POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        folder = tmp_path / threads / done.stdout.strip().rpartition("/")[2]
        found.append((folder.name, files(folder)))
    assert found[0] == found[1] == found[2]


def test_it_is_built_once_and_is_of_its_settings(tmp_path):
    packed = token_files(tmp_path / "web", zipf(0, 300, OLD, NEW), OLD)
    first = biased(packed, SIZE, Bias(), 50, 0).folder
    inode = (first / "web.starts").stat().st_ino
    assert biased(packed, SIZE, Bias(), 50, 0).folder == first
    assert (first / "web.starts").stat().st_ino == inode
    others = [(Bias(share=0.3), 50, 0), (Bias(), 51, 0), (Bias(), 50, 1)]
    assert len({first, *(biased(packed, SIZE, *other).folder for other in others)}) == 4
    assert read_record(first, "bias")["of"] == "web"
    data = (first / "web.ends").read_bytes()
    (first / "web.ends").write_bytes(data[:-1] + b"1")
    pieces._CHECKED.clear()
    with pytest.raises(ArtefactError, match=r"web\.ends does not hold what was written; remove"):
        biased(packed, SIZE, Bias(), 50, 0)
    (first / "web.ends").write_bytes(data)
    biased(packed, SIZE, Bias(), 50, 0)
    (first / "web.ends").write_bytes(b"1234567")
    with pytest.raises(ArtefactError, match="are not of one length; remove"):
        biased(packed, SIZE, Bias(), 50, 0)


def test_too_much_is_said_with_what_fits(tmp_path):
    packed = token_files(tmp_path / "web", zipf(0, 300, OLD, NEW), OLD)
    with pytest.raises(UsageError, match="web cannot show each new token 1,000 times in the 3,200 tokens") as caught:
        biased(packed, SIZE, Bias(1000), 200, 0)
    fits = int(str(caught.value).partition("at most ")[2].partition(",")[0])
    assert fits > 2
    assert biased(packed, SIZE, Bias(fits), 200, 0).tokens <= 3200
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("web.bias")] != []


def test_a_tokenizer_without_new_tokens_is_named(tmp_path):
    packed = token_files(tmp_path / "web", zipf(0, 30, OLD, NEW), None)
    with pytest.raises(UsageError, match="it is not known which tokens are new; wanted what `refine`"):
        biased(packed, SIZE, Bias(), 50, 0)


def test_a_source_without_new_tokens_is_read_evenly(tmp_path):
    packed = token_files(tmp_path / "web", [[1, 2, 3]] * 100, OLD)
    found = choose(Passages(packed, SIZE), Bias(), 150, 0)
    assert found.times.sum() == 50
    assert found.said["n"] == 0
