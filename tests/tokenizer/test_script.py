"""The code-point classes against the Unicode database that Python carries; scripts by name."""

import re
import sys
import unicodedata

import polars as pl
import pytest

from kovocab import _core
from kovocab.errors import UsageError
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.script import HANGUL, script_names, script_of

EVERY = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i <= 0xDFFF]


def test_hangul_is_the_script_of_the_unicode_database() -> None:
    # The database has no scripts, but every character of this one is named for it (and a few for Korean).
    # U+327F, the Korean standard symbol, is of no script.
    named = [c for c in EVERY if re.search("HANGUL|KOREAN CHARACTER", unicodedata.name(c, ""))]
    assert [c for c in EVERY if HANGUL.holds(c)] == named
    assert len(named) == 11_739
    assert pl.Series(EVERY).str.contains(r"\p{Hangul}").to_list() == [HANGUL.holds(c) for c in EVERY]


def test_a_script_looks_at_all_of_a_text() -> None:
    assert HANGUL.holds("abc\n\ndef 가")
    assert HANGUL.holds("\u1112\u1161\u11ab")  # 한, decomposed
    assert not HANGUL.holds("")
    assert not HANGUL.holds("漢字カナ ㄅㄆ ㈱ ｶﾅ \u3130\u318f\ud7a4\uffdf")


@pytest.mark.parametrize("names", ["Hangul", "Han", "Thai", ["Hiragana", "Katakana"], "Gothic"])
def test_every_candidate_is_what_a_search_finds(names: str | list[str]) -> None:
    for script in (script_of(names), script_of(names).in_bytes):
        expected = re.findall(f"[{script.candidates}]", "".join(EVERY)) if script.candidates else []
        assert sorted(script.every_candidate) == expected


def test_candidates_are_hangul_that_normalisation_leaves_alone() -> None:
    candidates = [c for c in EVERY if HANGUL.can_be_new(c)]
    assert len(candidates) == 11_172 + 51
    assert all(HANGUL.holds(c) and unicodedata.is_normalized("NFC", c) for c in candidates)
    assert HANGUL.can_be_new("▁안녕ㅋ")
    assert not any(map(HANGUL.can_be_new, ["", "▁", "안▁녕", "▁▁안", "안a", "\u1112\u1161"]))


def test_polars_reads_the_classes_as_re_does() -> None:
    characters = pl.Series(EVERY)
    for script in (HANGUL, HANGUL.in_bytes, script_of("Thai"), script_of(["Greek", "Latin"]).in_bytes):
        for ranges in (script.characters, script.candidates):
            ours = re.compile(f"[{ranges}]")
            assert characters.str.contains(f"[{ranges}]").to_list() == [bool(ours.search(c)) for c in EVERY]


def test_what_a_byte_level_base_can_have_of_hangul() -> None:
    """The prefixes that hold only Hangul, by the names of characters; and no jamo of the block that Bopomofo shares."""
    narrow = HANGUL.in_bytes
    blocks: dict[bytes, list[str]] = {}
    for c in EVERY[0x800:0xF800]:  # less surrogates
        blocks.setdefault(c.encode()[:2], []).append(c)
    safe = {
        prefix
        for prefix, characters in blocks.items()
        if all("HANGUL" in unicodedata.name(c, "HANGUL") for c in characters)
        and any(HANGUL.can_be_new(c) for c in characters)
    }
    assert {c.encode()[:2] for c in EVERY if narrow.can_be_new(c)} == safe
    assert len(safe) == 16 + 64 + 64 + 31 + 1
    assert [c for c in "ㄱㄴㄷㄹㄿㅀㅁㅋㅠㅣ가힣\ud7a3" if narrow.can_be_new(c)] == list("ㅀㅁㅋㅠㅣ가힣\ud7a3")
    assert all(narrow.holds(c) for c in EVERY if HANGUL.holds(c) or c.encode()[:2] in safe)
    assert sum(narrow.holds(c) for c in EVERY) == 11_739 + 12  # U+D7A4 to U+D7AF are no characters yet
    assert narrow.in_bytes is narrow


@pytest.mark.parametrize(
    ("names", "has", "has_not"),
    [
        ("Thai", "ก\u0e31๛", "฿aΑ가"),  # ฿ is of no script
        ("thai", "ก", "฿"),
        ("Grek", "αΩ\u1f71", "aa가"),
        ("Old_Italic", "\U00010300", "a"),
        (["Hiragana", "Katakana", "Han"], "あア漢々", "ーa・"),
        (["Hangul"], "가ㄱ", "a"),
    ],
)
def test_scripts_by_name(names: str | list[str], has: str, has_not: str) -> None:
    script = script_of(names)
    assert all(map(script.holds, has))
    assert not any(map(script.holds, has_not))
    assert script.can_be_new("▁" + has[0])


def test_thai_in_bytes_takes_the_baht_sign_with_it() -> None:
    thai = script_of("Thai").in_bytes
    assert thai.holds("฿")
    assert not thai.can_be_new("฿")
    assert [c for c in EVERY if thai.can_be_new(c)] == [c for c in EVERY if script_of("Thai").can_be_new(c)]


def test_characters_of_four_bytes_and_of_shared_blocks_are_no_candidates_in_bytes() -> None:
    assert script_of("Gothic").in_bytes.candidates == ""
    hiragana = script_of("Hiragana").in_bytes  # U+3080 to U+30BF are shared with Katakana
    assert hiragana.can_be_new("あ")
    assert not hiragana.can_be_new("る")
    assert script_of(["Hiragana", "Katakana"]).in_bytes.can_be_new("る")


def test_greek_that_normalisation_rewrites_is_no_candidate() -> None:
    assert script_of("Greek").holds("\u1f71")
    assert not script_of("Greek").can_be_new("\u1f71")  # ά, which NFC makes U+03AC


@pytest.mark.parametrize(
    ("name", "near"),
    [("Thaii", "Thai"), ("Hangeul", "Hangul"), ("Greeek", "Greek"), ("Common", ""), ("", "Hangul"), ("a}", "")],
)
def test_an_unknown_script_names_near_ones(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"script is {name!r}, and Unicode has none .*such as .*{near}"):
        script_of(name)


def test_no_script_at_all() -> None:
    with pytest.raises(UsageError, match="script is empty; wanted the name of a script"):
        script_of([])


def test_the_engine_counts_the_kinds_of_the_unicode_database() -> None:
    """Conjoining and halfwidth by their names, what no token holds, all Hangul, private use; each times its count."""
    named = {c: unicodedata.name(c, "") for c in EVERY}
    jamo = "\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb\uffa0-\uffdc"
    of_kind = {
        "conjoining": [c for c, name in named.items() if re.match("HANGUL (CHOSEONG|JUNGSEONG|JONGSEONG)", name)],
        "halfwidth": [c for c, name in named.items() if name.startswith("HALFWIDTH HANGUL")],
        "other": re.findall(f"(?![{HANGUL.candidates}{jamo}])[{HANGUL.characters}]", "".join(EVERY)),
        "private": [c for c in EVERY if "\ue000" <= c <= "\uf8ff"],
    }
    everything = pl.Series(["".join(EVERY[at : at + 999]) for at in range(0, len(EVERY), 999)])
    counts = pl.repeat(2**60, len(everything), dtype=pl.UInt64, eager=True)
    all_, *kinds = _core.count_hangul(everything, counts, 2)
    assert kinds == [2**60 * len(characters) for characters in of_kind.values()]
    assert all_ == 2**60 * sum(map(HANGUL.holds, EVERY))


def test_each_script_is_said_once_in_order() -> None:
    """As `--script+ Thai --script+ Hangul` gives them, behind the default."""
    assert RefineSettings(script=["Hangul", "Thai", "Hangul"]).script == ["Hangul", "Thai"]
    assert script_names(["old_italic", "Thai", "Old Italic", "THAI", "hang", "Hangul"]) == [
        "old_italic",
        "Thai",
        "hang",
    ]
    assert script_names("Thai") == ["Thai"]
    assert script_of(["Thai", "thai"]) == script_of("Thai")
