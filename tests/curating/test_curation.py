"""What a person is told of a candidate: held to targets that are built and counted anew, on real text."""

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from kovocab import RefineSettings, count_tokens, refine
from kovocab.building.target import build_target
from kovocab.counting.count import count_to
from kovocab.counting.word_counts import load_counted
from kovocab.curating.curation import Curation
from kovocab.curating.thresholds import curve
from kovocab.errors import ArtefactError, UsageError
from kovocab.record import read_record, write_record
from kovocab.refining.candidates import Decisions
from kovocab.refining.intermediate import Begun
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import load_tokenizer

SETTINGS = RefineSettings(40, 40, 4_000, 900)
DROPPED = "습니다"


@pytest.fixture(scope="module", params=["mistral_v1", "gpt2"])
def place(request: pytest.FixtureRequest, data: Path, ko_small: pl.Series, tmp_path_factory) -> Path:
    """A corpus of two files, its words and what refine left, of a base of either style."""
    place: Path = tmp_path_factory.mktemp("curation")
    (place / "base").symlink_to(data / "tokenizers" / request.param)
    texts = ko_small.gather_every(6).alias("text").to_frame()
    (place / "corpus").mkdir()
    for name, part in (("a", texts[::2]), ("b", texts[1::2])):
        part.write_parquet(place / f"corpus/{name}.parquet")
    count_to(place / "words.parquet", place / "corpus", place / "base")
    decisions = Decisions(drop=frozenset([DROPPED]))
    refine(load_counted(place / "words.parquet"), place / "base", SETTINGS, decisions).save(place / "tokenizer")
    return place


@pytest.fixture
def curation(place: Path) -> Curation:
    return Curation.open(place / "tokenizer", place / "words.parquet", place / "base", place / "corpus")


def emitted(curation: Curation, place: Path, rows: pl.DataFrame) -> int:
    """How many tokens the words are to a target with these rows, and what the base merges of the script."""
    table = pl.read_parquet(place / "tokenizer/candidates.parquet")
    there = table.filter(pl.col("token").is_in(rows["token"].implode()) | (pl.col("base") & pl.col("why").is_null()))
    target = build_target(load_tokenizer(place / "base"), there.select("token", "left", "right"), HANGUL)
    return int(count_tokens(load_counted(place / "words.parquet").words, target)["count"].sum())


def with_children(curation: Curation, row: int) -> set[int]:
    """The row, and whatever has it or one of these as a part: by looking at all, again and again."""
    gone, rows = {curation.rows["token"][row]}, curation.rows.select("token", "left", "right").rows()
    while more := {token for token, *parts in rows if token not in gone and gone.intersection(parts)}:
        gone |= more
    return {number for number, (token, *_) in enumerate(rows) if token in gone}


def test_rows_are_what_refine_left(curation: Curation, place: Path) -> None:
    record = read_record(place / "tokenizer")
    vocabulary = pl.read_parquet(place / "tokenizer/vocabulary.parquet")
    new = vocabulary.filter(pl.col("id") >= record["first_new_id"], ~pl.col("token").str.starts_with("<0x"))
    kept = curation.rows.filter("kept")
    assert dict(kept.select("token", "count").iter_rows()) == dict(new.select("token", "count").iter_rows())
    assert curation.rows["row"].to_list() == list(range(len(curation.rows)))
    assert curation.rows["count"].is_sorted(descending=True)
    whys = dict(curation.rows.select("token", "why").iter_rows())
    assert whys[DROPPED] == "dropped by decision"
    assert set(whys.values()) >= {None, "below min_count", "a part of it went"}
    assert curation.choices.now.tokens == record["new_tokens"]
    assert curation.choices.now.left == SETTINGS.max_new_tokens - record["new_tokens"]
    for row in kept["row"].gather_every(40).to_list():
        assert {row, *curation.rows["children"][row]} == with_children(curation, row)


def test_prices_and_sums_are_those_of_targets_built_without(curation: Curation, place: Path) -> None:
    kept = curation.rows.filter("kept")
    prices, whole = curation.choices.prices(), emitted(curation, place, kept)
    assert prices.is_not_null().to_list() == curation.rows["kept"].to_list()
    priciest = kept.with_columns(prices.filter(curation.rows["kept"]).alias("price")).sort("price")
    for row in [*priciest["row"][:3], *priciest["row"][-3:], *kept["row"].gather_every(len(kept) // 12)]:
        left = kept.filter(~pl.col("row").is_in(list(with_children(curation, row))))
        assert prices[row] == emitted(curation, place, left) - whole, curation.rows["token"][row]
    words = load_counted(place / "words.parquet").record["words_between_space"]
    dropped = kept["row"].gather_every(50).to_list()
    kept_too = curation.rows.filter(pl.col("why") == "below min_count")["row"].head(5).to_list()
    parts, wanted = (
        {token: (left, right) for token, left, right in curation.rows["token", "left", "right"].rows()},
        set(),
    )
    stack = [curation.rows["token"][row] for row in kept_too]
    while stack:
        token = stack.pop()
        if token in parts and token not in wanted:
            wanted.add(token)
            stack += [part for part in parts[token] if part is not None]
    gone = set().union(*(with_children(curation, row) for row in dropped))
    rows = curation.rows.filter(
        (pl.col("kept") | pl.col("token").is_in(list(wanted))) & ~pl.col("row").is_in(list(gone))
    )
    sums = curation.choices.sums(drop=dropped, keep=kept_too)
    tokens = emitted(curation, place, rows)
    assert sums.tokens_per_word == pytest.approx(tokens / words, rel=1e-12)
    size = load_counted(place / "words.parquet").record["bytes"]
    assert sums.bytes_per_token == pytest.approx(size / tokens, rel=1e-12)
    assert sums.left == SETTINGS.max_new_tokens - sums.tokens


def test_refine_again_is_refine(curation: Curation, place: Path, tmp_path: Path) -> None:
    decisions = Decisions(drop=frozenset([DROPPED, "▁그"]))
    settings = replace(SETTINGS, min_count=600, min_syllable_count=600)
    refined, difference = curation.choices.refine(decisions, settings)
    plain = refine(load_counted(place / "words.parquet"), place / "base", settings, decisions)
    refined.save(tmp_path / "again")
    plain.save(tmp_path / "plain")
    for file in ("tokenizer.json", "vocabulary.parquet", "candidates.parquet", "kovocab.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()
    before = set(curation.rows.filter("kept")["token"])
    assert set(difference.went) <= before
    assert not set(difference.came) & before
    assert difference.after.tokens == refined.record["new_tokens"] < difference.before.tokens


def test_the_curve_is_refine_at_each_threshold(place: Path) -> None:
    counted = load_counted(place / "words.parquet")
    begun = Begun.of(counted, place / "base", SETTINGS)
    found = curve(begun, begun.recount(), SETTINGS, [30, 40, 200])
    for least, row in zip((30, 40, 200), found.iter_rows(named=True), strict=True):
        refined = refine(counted, place / "base", replace(SETTINGS, min_count=least, min_syllable_count=least))
        assert row["min_count"] == least
        assert row["new_tokens"] == refined.record["new_tokens"]
        assert row["tokens_per_word"] == refined.record["rounds"][-1]["tokens_per_word"]


def test_what_does_not_belong_together_is_refused(place: Path, data: Path, tmp_path: Path) -> None:
    words, base = place / "words.parquet", place / "base"
    other = data / "tokenizers" / ("gpt2" if (base / "tokenizer.json").resolve().parent.name != "gpt2" else "phi2")
    with pytest.raises(UsageError, match="was refined for another base than"):
        Curation.open(place / "tokenizer", words, other)
    count_to(tmp_path / "other.parquet", place / "corpus/a.parquet", base)
    with pytest.raises(UsageError, match=r"is not what .* was refined from"):
        Curation.open(place / "tokenizer", tmp_path / "other.parquet", base)
    old = tmp_path / "old"
    old.mkdir()
    record = read_record(place / "tokenizer")
    record["files"].pop("candidates.parquet")
    write_record(old, record)
    with pytest.raises(ArtefactError, match=r"has no candidates\.parquet, which `kovocab refine` leaves"):
        Curation.open(old, words, base)
    damaged = shutil.copytree(place / "tokenizer", tmp_path / "damaged")
    table = damaged / "candidates.parquet"
    pl.read_parquet(table).head(9).write_parquet(table)
    with pytest.raises(ArtefactError, match=r"candidates\.parquet is not as `kovocab refine` wrote it"):
        Curation.open(damaged, words, base)
