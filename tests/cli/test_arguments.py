"""Settings as people write them: several values behind a flag, a flag that is on by being there."""

from typing import Any

import pytest

from kovocab.cli.arguments import parse
from kovocab.errors import UsageError


def verb(
    corpus: str | list[str],
    tokenizers: list[str],
    out: str = "o",
    add_to: str | list[str] | None = None,
    on: bool = False,
) -> None:
    """Do nothing."""


NOTHING = {"corpus": "a", "tokenizers": ["t"], "out": "o", "add_to": None, "on": False}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("--corpus a --tokenizers t", {}),
        ("--corpus a b --tokenizers t", {"corpus": ["a", "b"]}),
        ("--corpus a b c --tokenizers t u --out p", {"corpus": ["a", "b", "c"], "tokenizers": ["t", "u"], "out": "p"}),
        ("--tokenizers t --out p --corpus a b", {"corpus": ["a", "b"], "out": "p"}),
        ("--corpus a --tokenizers t --corpus b", {"corpus": ["a", "b"]}),
        ("--corpus=a --tokenizers=t --corpus=b", {"corpus": ["a", "b"]}),
        ("--corpus=a b --tokenizers=t", {"corpus": ["a", "b"]}),
        ("--corpus [a,b] --tokenizers [t,u]", {"corpus": ["a", "b"], "tokenizers": ["t", "u"]}),
        ("--corpus a --tokenizers t --add_to x y", {"add_to": ["x", "y"]}),
        ("--corpus a --tokenizers t --add_to x", {"add_to": "x"}),
        ("--corpus a --tokenizers 5", {"tokenizers": ["5"]}),
        ("--corpus a --tokenizers true 1e3", {"tokenizers": ["true", "1e3"]}),
        ("--corpus {a} [b].txt --tokenizers t", {"corpus": ["{a}", "[b].txt"]}),
        ("--corpus a --tokenizers t --on", {"on": True}),
        ("--on --corpus a --tokenizers t", {"on": True}),
        ("--corpus a --on --tokenizers t", {"on": True}),
        ("--corpus a --tokenizers t --on true", {"on": True}),
        ("--corpus a --tokenizers t --on false", {}),
        ("--corpus a --tokenizers t --on=false", {}),
    ],
)
def test_settings_as_people_write_them(line: str, wanted: dict[str, Any]) -> None:
    assert parse("verb", verb, line.split()) == NOTHING | wanted


def test_names_with_spaces_quotes_and_no_utf_8_stay_whole() -> None:
    names = ["a b.txt", 'c"d.txt', "e\\f.txt", "한글.txt", "\udcff.txt", "g: h"]
    assert parse("verb", verb, ["--tokenizers", "t", "--corpus", *names])["corpus"] == names


def test_a_list_goes_on_from_a_file_of_settings_as_before(tmp_path: Any) -> None:
    (tmp_path / "c.yaml").write_text("corpus: [a, b]\ntokenizers: [t]\n")
    config = ["--config", str(tmp_path / "c.yaml")]
    assert parse("verb", verb, config) == NOTHING | {"corpus": ["a", "b"]}
    assert parse("verb", verb, [*config, "--corpus", "c", "d"])["corpus"] == ["c", "d"]
    assert parse("verb", verb, ["--corpus", "c", "d", *config])["corpus"] == ["a", "b"]
    assert parse("verb", verb, ["--corpus", "c", *config, "--corpus", "d"])["corpus"] == ["c", "d"]
    assert parse("verb", verb, [*config, "--out", "p"])["out"] == "p"


@pytest.mark.parametrize("line", ["--corpus a --tokenizers t --out=", "--corpus a --tokenizers t ''", "--corpus= "])
def test_an_empty_value_is_a_variable_that_is_not_set(line: str) -> None:
    given = ["" if arg == "''" else arg for arg in line.split()]
    with pytest.raises(UsageError, match=r"(out|tokenizers|corpus) is empty"):
        parse("verb", verb, given + ["--tokenizers", "t"] * ("--tokenizers" not in given))


@pytest.mark.parametrize(
    "line", ["--corpus --tokenizers t", "--corpus a --tokenizers", "--corpus a --tokenizers t --out p q"]
)
def test_what_is_missing_or_too_much_is_named(line: str) -> None:
    with pytest.raises(UsageError, match=r"^--(corpus|tokenizers) has nothing behind it; wanted|^q stands"):
        parse("verb", verb, line.split())
