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

from kovocab.corpus.documents import batches
from kovocab.errors import UsageError
from kovocab.example import text as sample
from kovocab.example.text import BATCH, Language, conjugate, sample_batch, sample_documents, write_sample

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
    with pytest.raises(UsageError, match="limits of 0 or more"):
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


@pytest.mark.parametrize(
    ("stem", "forms"),
    [
        ("하", "합니다 했습니다 해요 한다 한 할 하면 하니까 하네요 하는"),
        ("가", "갑니다 갔습니다 가요 간다 간 갈 가면 가니까 가네요 가는"),
        ("먹", "먹습니다 먹었습니다 먹어요 먹는다 먹은 먹을 먹으면 먹으니까 먹네요 먹는"),
        ("잡", "잡습니다 잡았습니다 잡아요 잡는다 잡은 잡을 잡으면 잡으니까 잡네요 잡는"),
        ("만들", "만듭니다 만들었습니다 만들어요 만든다 만든 만들 만들면 만드니까 만드네요 만드는"),
        ("쓰", "씁니다 썼습니다 써요 쓴다 쓴 쓸 쓰면 쓰니까 쓰네요 쓰는"),
        ("나쁘", "나쁩니다 나빴습니다 나빠요 나쁜다 나쁜 나쁠 나쁘면 나쁘니까 나쁘네요 나쁘는"),
        ("배우", "배웁니다 배웠습니다 배워요 배운다 배운 배울 배우면 배우니까 배우네요 배우는"),
        ("마시", "마십니다 마셨습니다 마셔요 마신다 마신 마실 마시면 마시니까 마시네요 마시는"),
        ("오", "옵니다 왔습니다 와요 온다 온 올 오면 오니까 오네요 오는"),
        ("되", "됩니다 됐습니다 돼요 된다 된 될 되면 되니까 되네요 되는"),
        ("쉬", "쉽니다 쉬었습니다 쉬어요 쉰다 쉰 쉴 쉬면 쉬니까 쉬네요 쉬는"),
        ("보내", "보냅니다 보냈습니다 보내요 보낸다 보낸 보낼 보내면 보내니까 보내네요 보내는"),
    ],
)
def test_conjugation(stem: str, forms: str) -> None:
    endings = ["ㅂ니다", "았습니다", "아요", "ㄴ다", "ㄴ", "ㄹ", "으면", "으니까", "네요", "는"]
    assert [conjugate(stem, ending) for ending in endings] == forms.split()


def test_particles_agree_with_the_final_consonant() -> None:
    """Every noun of the sample, by its rank, takes the form that its last syllable asks for."""
    for rank in [*range(3000), *(7**i for i in range(5, 40))]:
        noun = sample._noun(rank)
        assert re.fullmatch("[가-힣]+", noun)
        final = unicodedata.normalize("NFD", noun[-1])[2:]
        topic, to = "는/은/은", "로/으로/로"
        place = sample._particle(noun)
        assert sample._forms(topic)[place] == ("은" if final else "는")
        assert sample._forms(to)[place] == ("으로" if final and final != "\u11af" else "로")


def test_particles_agree_in_the_text() -> None:
    """을 and 를 are particles wherever they end a word of the sample: no stem of its lists ends in them."""
    text = " ".join(sample_documents(1_000_000, language="ko"))
    checked = 0
    for before, particle in re.findall(r"([가-힣])([을를])(?= )", text):
        if particle == "를" or before not in "있없":  # 있을, 없을: endings, not particles
            final = (ord(before) - 0xAC00) % 28
            if particle == "를":
                assert final == 0, before + particle
            else:
                assert final != 0, before + particle
            checked += 1
    assert checked > 5000


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
