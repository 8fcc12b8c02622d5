"""New tokens in figures: kinds, lengths, counts, syllables; on a vocabulary that is written here."""

import html
import re

import polars as pl

from kovocab.reporting.gathered import Gathered
from kovocab.reporting.vocabulary import KSX, SYLLABLES, _lengths, new_tokens
from kovocab.reporting.words import Words

TOKENS = [
    ("가", 7),
    ("▁나무", 5),
    ("나무", 0),
    ("▁", 2),
    ("▁가나다라마바사아자차카타", 1),
    ("<0xEA><0xB0>", 9),
    ("ㅋㅋ", 3),
]
ROUND = {"round": 1, "size": 7}


def found() -> Gathered:
    table = pl.DataFrame({"id": range(90, 97), "token": [t for t, _ in TOKENS], "count": [c for _, c in TOKENS]})
    refined = {"verb": "refine", "settings": {}, "rounds": [ROUND]}
    expanded = {"verb": "expand", "first_new_id": 91, "tokenizer": refined}  # the first is the base's
    return Gathered("run", expanded=expanded, vocabulary=table)


def test_syllables_of_the_standards():
    assert (len(SYLLABLES), len(KSX)) == (11_172, 2_350)
    assert {"가", "힝", "똠"} - KSX == {"똠"}


def test_lengths_and_kinds():
    table = found().vocabulary
    rows = _lengths(table.filter(pl.col("id") >= 91), ["begins", "inside", "scaffold"])
    counted = {(row["x"], row["part"]): row["value"] for row in rows}
    assert counted == {
        ("0", "begins"): 1,
        ("1", "scaffold"): 1,
        ("2", "begins"): 1,
        ("2", "inside"): 2,
        ("10+", "begins"): 1,
    }


def test_the_most_and_the_least_frequent():
    said = "".join(new_tokens(found(), Words("en")))
    plain = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", said)))
    most, least = plain.split("The hundred most frequent")[1].split("The hundred least frequent")
    assert re.findall(r"\S+ \d+", most) == ["▁나무 5", "ㅋㅋ 3", "▁ 2", "▁가나다라마바사아자차카타 1"]
    assert re.findall(r"\S+ \d+", least.split("1 more")[0]) == [
        "▁가나다라마바사아자차카타 1",
        "▁ 2",
        "ㅋㅋ 3",
        "▁나무 5",
    ]
    assert "1 more are never emitted" in least
