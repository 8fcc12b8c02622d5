"""Where candidates stand: held to the library's own encoding of every document."""

from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

from kovocab import RefineSettings, refine
from kovocab.counting.count import count_to
from kovocab.counting.word_counts import load_counted
from kovocab.curating.curation import Curation
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer

ONCE = "뷁뷁한 것이다. 뷁뷁한 것이다."


@pytest.fixture(scope="module", params=["mistral_v1", "gpt2"])
def looked(request: pytest.FixtureRequest, data: Path, ko_small: pl.Series, tmp_path_factory) -> tuple[Path, Curation]:
    place: Path = tmp_path_factory.mktemp("places")
    base = data / "tokenizers" / request.param
    texts = [*ko_small.gather_every(20).to_list(), "", ONCE * 40]
    (place / "corpus").mkdir()
    pl.DataFrame({"text": texts[::2]}).write_parquet(place / "corpus/a.parquet")
    pl.DataFrame({"text": texts[1::2]}).write_ndjson(place / "corpus/b.jsonl")
    count_to(place / "words.parquet", place / "corpus", base)
    refine(load_counted(place / "words.parquet"), base, RefineSettings(30, 30, 2_000)).save(place / "tokenizer")
    return place, Curation.open(place / "tokenizer", place / "words.parquet", base, place / "corpus")


def test_sources_documents_and_sentences(looked: tuple[Path, Curation]) -> None:
    place, curation = looked
    tokenizer = load_tokenizer(place / "tokenizer")
    reference = Reference(tokenizer)
    documents = {
        name: frame["text"].to_list()
        for name, frame in (
            (str(place / "corpus/a.parquet"), pl.read_parquet(place / "corpus/a.parquet")),
            (str(place / "corpus/b.jsonl"), pl.read_ndjson(place / "corpus/b.jsonl")),
        )
    }
    stands: dict[str, set[tuple[str, int]]] = defaultdict(set)
    names = {row: text for text, row in tokenizer.texts.items()}
    for source, texts in documents.items():
        for number, ids in enumerate(reference.encode(texts)):
            for token in {names[row] for row in ids if row in names}:
                stands[token].add((source, number))
    said = curation.sources_and_flags()
    assert said is not None
    kept = said.join(curation.rows.select("row", "token", "count", "kept"), on="row").filter("kept")
    assert len(kept) > 300
    for row, sources, flags, token, count, _ in kept.select("row", "sources", "flags", "token", "count", "kept").rows():
        assert set(sources) == {source for source, _ in stands[token]}, token
        assert ("one document" in flags) == (len(stands[token]) == 1 and count > 1), token
        assert ("one source" in flags) == (len(sources) == 1 and count > 1), token
        sentences = curation.sentences(row)
        assert len(sentences) == min(3, len(stands[token])), token
        assert len({one.source for one in sentences}) == min(len(sentences), len(sources)), token
        text = token.replace("▁", " ").strip()
        for one in sentences:
            assert one.source in sources
            assert one.text[one.start : one.end] == text, (token, one)
            plain = " ".join(one.text.split())
            assert any(plain in " ".join(document.split()) for document in documents[one.source]), one
    assert "one document" in dict(kept.select("token", "flags").rows())["▁뷁뷁한"]


def test_what_went_is_found_where_all_candidates_would_stand(looked: tuple[Path, Curation]) -> None:
    _, curation = looked
    curation.sources_and_flags()
    gone = curation.rows.filter(~pl.col("kept"), pl.col("count") > 0)["row"].to_list()
    found = [row for row in gone if curation.sentences(row)]
    assert len(found) > 0.5 * len(gone)
    for row in found[:200]:
        one = curation.sentences(row)[0]
        assert one.text[one.start : one.end] == curation.rows["token"][row].replace("▁", " ").strip()


def test_a_pass_that_is_ended_keeps_what_it_found(looked: tuple[Path, Curation]) -> None:
    place, base = looked[0], looked[1]._base
    fresh = Curation.open(place / "tokenizer", place / "words.parquet", base, place / "corpus")
    assert fresh.sentences(0) == []  # asked before there is anything
    fresh.close()
    said = fresh.sources_and_flags()
    assert said is not None
    assert said["sources"].list.len().sum() == 0
