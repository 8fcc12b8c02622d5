"""Needs as weights: the formula, the promise with them, and a table that cannot be used."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from kovocab.errors import UsageError
from kovocab.favouring.bias import SEEN, biased, choose
from kovocab.favouring.needs import settings_of, weights_of
from kovocab.favouring.passages import Passages
from kovocab.favouring.rates import Bias
from kovocab.ownership import MARK
from support.documents import token_files, zipf

OLD, NEW, LENGTH = 20, 40, 16
SIZE = OLD + NEW


def save(path, needs, tokenizer="hash", first=OLD):
    ids = pl.Series("id", range(first, first + len(needs)), dtype=pl.UInt32)
    table = pl.DataFrame([ids, pl.Series("need", needs, dtype=pl.Float64)])
    table.sample(fraction=1, shuffle=True, seed=1).write_parquet(
        path, metadata={MARK: json.dumps({"verb": "evaluate", "tokenizer": tokenizer})}
    )
    return Bias(needs=str(path), passage=8)


def test_weights_are_those_of_the_formula(tmp_path):
    bias = save(tmp_path / "a", [0.2, 0.4, 0.6, 0.8, 1.0])
    assert weights_of(bias, "hash", OLD, OLD + 5) == pytest.approx([1, 1, 1, 2.5, 4])
    assert weights_of(Bias(), "hash", OLD, SIZE) is None
    flat = save(tmp_path / "b", [1.0] * 3)  # nothing was learned: none is needier than others
    assert weights_of(flat, "hash", OLD, OLD + 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("passes", [0.5, 1.5])
def test_the_promise_holds_with_weights(seed, passes, tmp_path):
    packed = token_files(tmp_path / "web", zipf(seed, 300, OLD, NEW), OLD)
    bias = save(tmp_path / "needs", np.random.default_rng(seed).random(NEW).tolist())
    bias = replace(bias, share=0.6, max_passes=8)
    weights = weights_of(bias, "hash", OLD, SIZE)
    passages = Passages(packed, SIZE, 8)
    found = choose(passages, bias, int(passes * passages.tokens), seed, weights)
    wanted = np.minimum(found.said["n"] * weights, found.said["most"] * found.counts)
    assert found.said["n"] > 0
    assert (found.seen >= wanted).all()
    assert passages.read(found.times) <= passes * passages.tokens


def test_needy_tokens_are_seen_more_often_than_without(tmp_path):
    packed = token_files(tmp_path / "web", zipf(3, 400, OLD, NEW), OLD)
    passages = Passages(packed, SIZE, 8)
    plain = choose(passages, Bias(passage=8), passages.tokens, 0)
    rare = np.argsort(plain.counts)[:10]
    needy = rare[::2]
    needs = np.zeros(NEW)
    needs[needy] = 1.0
    bias = save(tmp_path / "needs", needs.tolist())
    found = choose(passages, bias, passages.tokens, 0, weights_of(bias, "hash", OLD, SIZE))
    assert found.seen[needy].sum() > plain.seen[needy].sum()


def test_what_a_table_holds_decides_and_not_where_it_lies(tmp_path):
    packed = token_files(tmp_path / "web", zipf(1, 200, OLD, NEW), OLD)
    tokenizer = packed.record["tokenizer"]
    bias = save(tmp_path / "a", np.linspace(0, 1, NEW).tolist(), tokenizer)
    moved = save(tmp_path / "b", np.linspace(0, 1, NEW).tolist(), tokenizer)
    other = save(tmp_path / "c", np.linspace(1, 0, NEW).tolist(), tokenizer)
    first = biased(packed, SIZE, bias, 60, 0)
    assert settings_of(bias) == settings_of(moved) != settings_of(other)
    assert biased(packed, SIZE, moved, 60, 0).folder == first.folder
    assert biased(packed, SIZE, other, 60, 0).folder != first.folder
    assert pl.read_parquet(first.folder / SEEN)["weight"].to_list() == weights_of(bias, tokenizer, OLD, SIZE).tolist()
    without = biased(packed, SIZE, Bias(passage=8), 60, 0)
    assert pl.read_parquet(without.folder / SEEN).columns == ["id", "count", "seen"]
    assert {"needs", "needs_weight"}.isdisjoint(settings_of(Bias()))


def test_a_table_that_cannot_be_used_is_one_line(tmp_path):
    good = save(tmp_path / "good", [0.5] * NEW)
    with pytest.raises(UsageError, match="which is of another tokenizer's tokens"):
        weights_of(good, "another", OLD, SIZE)
    with pytest.raises(UsageError, match="which is of another tokenizer's tokens"):
        weights_of(good, "hash", OLD, SIZE + 1)
    with pytest.raises(UsageError, match="not of numbers from 0 to 1"):
        weights_of(save(tmp_path / "bad", [0.5] * (NEW - 1) + [1.5]), "hash", OLD, SIZE)
    (tmp_path / "none").write_text("no table")
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / "plain")
    for name in ("none", "plain", "gone"):
        with pytest.raises(UsageError, match="which cannot be read"):
            weights_of(Bias(needs=str(tmp_path / name)), "hash", OLD, SIZE)
    (tmp_path / "r[1]").mkdir()
    in_brackets = save(tmp_path / "r[1]" / "needs", [0.5] * NEW)
    assert weights_of(in_brackets, "hash", OLD, SIZE).tolist() == weights_of(good, "hash", OLD, SIZE).tolist()
    pl.DataFrame({"id": [1], "need": [0.5]}).write_parquet(tmp_path / "plain")
    with pytest.raises(UsageError, match=r"cannot be read \(it does not say of which tokenizer it is\)"):
        weights_of(Bias(needs=str(tmp_path / "plain")), "hash", OLD, SIZE)
    with pytest.raises(UsageError, match="which cannot be read"):
        settings_of(Bias(needs=str(tmp_path / "gone")))
    with pytest.raises(UsageError, match=r"needs_weight is 0.5; wanted 1 to 1,000"):
        Bias(needs_weight=0.5)
    with pytest.raises(UsageError, match=r"needs_weight is 5.0, of no table; wanted needs with it"):
        Bias(needs_weight=5.0)
