"""The contexts of new tokens: as many as there are to be, inside documents, spread over them, the same everywhere."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from kovocab.errors import CorpusError, UsageError
from kovocab.favouring import passages as passages_file
from kovocab.favouring.contexts import CONTEXTS, Contexts, mined
from support.documents import token_files, zipf

OLD, NEW, LENGTH = 20, 40, 16
SIZE = OLD + NEW


def windows(pieces):
    """Each piece's first token, length and ids."""
    ends = np.fromfile(pieces.folder / f"{pieces.name}.ends", dtype="<u8").astype(int)
    starts = np.fromfile(pieces.folder / f"{pieces.name}.starts", dtype="<u8").astype(int)
    lengths = np.diff(ends, prepend=0)
    tokens = pieces.packed.tokens("train").tolist()
    return [(s, n, tokens[s : s + n]) for s, n in zip(starts.tolist(), lengths.tolist(), strict=True)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("per_token", "length"), [(3, 4), (7, 50), (10_000, 5)])
def test_every_new_token_has_its_contexts(seed, per_token, length, tmp_path):
    texts = {"a": zipf(seed, 200, OLD, NEW), "b": [[1] * 9] * 5, "c": zipf(seed + 100, 50, OLD, NEW)}
    sources = [token_files(tmp_path / name, documents, OLD, name=name) for name, documents in texts.items()]
    found = mined(sources, SIZE, Contexts(per_token, length), seed)
    assert found[1] is None
    occurrences = Counter(t for documents in texts.values() for text in documents for t in text)
    table = pl.read_parquet(found[0].folder / CONTEXTS)
    assert table["id"].to_list() == list(range(OLD, SIZE))
    wanted = [min(per_token, occurrences[token]) for token in range(OLD, SIZE)]
    assert table["contexts"].to_list() == wanted
    there, pieces = Counter(), 0
    for source, documents in ((found[0], texts["a"]), (found[2], texts["c"])):
        ends = np.cumsum([len(text) for text in documents])
        for start, count, ids in windows(source):
            document = int(np.searchsorted(ends, start, side="right"))
            begin = int(ends[document - 1]) if document else 0
            assert start + count <= ends[document]  # no document's end inside
            assert count == min(length, len(documents[document]))
            assert ids == documents[document][start - begin : start - begin + count]
            there.update(set(ids))
            pieces += 1
    assert pieces == sum(wanted)
    # A window is round one token, and shows others by chance: none is in fewer windows than it has places.
    if length > 12:
        assert all(there[token] >= 1 for token in range(OLD, SIZE) if occurrences[token])
    else:
        assert all(there[OLD + at] >= 1 for at, count in enumerate(wanted) if count)


def test_contexts_are_spread_over_documents(tmp_path):
    """One document that repeats a token does not take the place of the others."""
    documents = [[OLD] * 500, *([1, 2, OLD, 3] for _ in range(30)), [OLD + 1] * 10, [4, OLD + 1]]
    [found] = mined([token_files(tmp_path / "web", documents, OLD)], SIZE, Contexts(20, 8), 0)
    of_first = [start for start, _, ids in windows(found) if OLD in ids]
    assert len(of_first) == 20
    assert sum(start < 500 for start in of_first) <= 1
    assert sum(OLD + 1 in ids for _, _, ids in windows(found)) == 11


def test_they_are_the_same_however_they_are_found(tmp_path, monkeypatch):
    documents = zipf(5, 400, OLD, NEW)
    found = []
    for name, at_once in (("x", 1 << 22), ("y", 50)):
        monkeypatch.setattr(passages_file, "AT_ONCE", at_once)
        (tmp_path / name).mkdir()
        [pieces] = mined([token_files(tmp_path / name / "web", documents, OLD)], SIZE, Contexts(5, 6), 1)
        found.append((pieces.folder.name, windows(pieces)))
        assert mined([pieces.packed], SIZE, Contexts(5, 6), 1)[0].folder == pieces.folder
    assert found[0] == found[1]
    [other] = mined([pieces.packed], SIZE, Contexts(5, 6), 2)
    assert windows(other) != found[0][1]


def test_text_without_new_tokens_has_none(tmp_path):
    with pytest.raises(CorpusError, match=r"no new token is in what is trained on \(web\)"):
        mined([token_files(tmp_path / "web", [[1, 2]] * 20, OLD)], SIZE, Contexts(), 0)
    with pytest.raises(UsageError, match="it is not known which tokens are new"):
        mined([token_files(tmp_path / "bare", [[1, 2]] * 20, None)], SIZE, Contexts(), 0)
    with pytest.raises(UsageError, match=r"data\.contexts: per_token is 0"):
        Contexts(0)
