"""Sample text: the same everywhere, built as Korean is, and growing in words as a corpus does."""

import os
import re
import subprocess
import sys
import unicodedata
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import pytest

from kovocab.errors import UsageError
from kovocab.example.text import BATCH, Language, sample_batch, sample_documents, write_sample
from kovocab.reading.documents import batches

HASHES: dict[Language, str] = {
    "ko": "3b947508fe048a6f",
    "en": "488a801fcb3c4efc",
    "mixed": "89f88873cabd9165",
}


def digest(language: Language, seed: int = 0) -> str:
    text = "\0".join(sample_documents(100_000, language=language, seed=seed))
    return blake2b(text.encode(), digest_size=8).hexdigest()


@pytest.mark.parametrize("language", HASHES)
def test_the_text_never_changes(language: Language) -> None:
    assert digest(language) == HASHES[language]
    assert digest(language, seed=1) != HASHES[language]


def test_the_text_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from hashlib import blake2b; from kovocab.example.text import sample_documents\n"
        "text = '\\0'.join(sample_documents(100_000))\n"
        "print(blake2b(text.encode(), digest_size=8).hexdigest())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    )
    assert out.stdout.decode().strip() == HASHES["mixed"]


def test_batches_are_the_text() -> None:
    whole = list(sample_documents(documents=2 * BATCH + 3, seed=5))
    assert whole == [*sample_batch(0, seed=5), *sample_batch(1, seed=5), *sample_batch(2, seed=5)[:3]]


def test_limits() -> None:
    assert list(sample_documents(0)) == list(sample_documents(documents=0)) == []
    assert len(list(sample_documents(documents=300))) == 300
    made = list(sample_documents(50_000))
    sizes = [len(text.encode()) for text in made]
    assert sum(sizes[:-1]) < 50_000 <= sum(sizes)
    assert len(list(islice(sample_documents(), 1000))) == 1000
    with pytest.raises(UsageError, match="language is 'fr'"):
        next(sample_documents(language="fr"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="wanted 0 or more"):
        next(sample_documents(-1))


def test_languages_and_normal_form() -> None:
    korean = "".join(sample_documents(200_000, language="ko"))
    english = "".join(sample_documents(200_000, language="en"))
    mixed = list(sample_documents(500_000))
    assert unicodedata.is_normalized("NFC", korean + english + "".join(mixed))
    assert english.isascii()
    assert len(re.findall("[가-힣]", korean)) > 0.5 * len(korean)
    share = sum(bool(re.search("[가-힣]", text)) for text in mixed) / len(mixed)
    assert 0.75 < share < 0.85
    assert re.search("[A-Za-z]", korean)
    assert all(text.strip() == text and text for text in mixed)


def test_words_grow_as_in_a_corpus() -> None:
    words: set[str] = set()
    size, seen = 0, {}
    for text in sample_documents(4_000_000, language="ko"):
        words.update(re.findall(" ?[가-힣]+", text))
        size += len(text.encode())
        for limit in (1_000_000, 2_000_000, 4_000_000):
            if limit not in seen and size >= limit:
                seen[limit] = len(words)
    # Real text: 28 thousand, 49 thousand and 85 thousand.
    assert seen[1_000_000] == pytest.approx(28_000, rel=0.25)
    assert seen[2_000_000] == pytest.approx(49_000, rel=0.25)
    assert seen[4_000_000] == pytest.approx(85_000, rel=0.25)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".parquet"])
def test_a_written_sample_is_a_corpus(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"sample{suffix}"
    write_sample(path, 200_000, seed=2)
    expected = list(sample_documents(200_000, seed=2))
    if suffix == ".txt":
        expected = [text.replace("\n", " ") for text in expected]
    assert [text for batch in batches(path) for text in batch] == expected
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    before = path.read_bytes()
    write_sample(path, 200_000, seed=2)
    assert path.read_bytes() == before


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv: wanted the suffix \.txt, \.jsonl or \.parquet"):
        write_sample(tmp_path / "a.csv", 1000)
    with pytest.raises(UsageError, match="without an end"):
        write_sample(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []
