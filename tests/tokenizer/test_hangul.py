"""The code-point classes against the Unicode database that Python carries."""

import re
import sys
import unicodedata

import polars as pl

from kovocab import _core
from kovocab.tokenizer.hangul import CANDIDATE, HANGUL, has_hangul, is_syllable

EVERY = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i <= 0xDFFF]


def test_has_hangul_is_the_script_of_the_unicode_database() -> None:
    # The database has no scripts, but every character of this one is named for it (and a few for Korean).
    # U+327F, the Korean standard symbol, is of no script.
    named = [c for c in EVERY if re.search("HANGUL|KOREAN CHARACTER", unicodedata.name(c, ""))]
    assert [c for c in EVERY if has_hangul(c)] == named
    assert len(named) == 11_739


def test_has_hangul_looks_at_all_of_a_text() -> None:
    assert has_hangul("abc\n\ndef 가")
    assert has_hangul("\u1112\u1161\u11ab")  # 한, decomposed
    assert not has_hangul("")
    assert not has_hangul("漢字カナ ㄅㄆ ㈱ ｶﾅ \u3130\u318f\ud7a4\uffdf")


def test_is_syllable() -> None:
    assert [c for c in EVERY if is_syllable(c)] == [
        c for c in EVERY if unicodedata.name(c, "").startswith("HANGUL SYLLABLE ")
    ]


def test_candidates_are_hangul_that_normalisation_leaves_alone() -> None:
    candidates = [c for c in EVERY if re.fullmatch(f"[{CANDIDATE}]", c)]
    assert len(candidates) == 11_172 + 51
    assert all(has_hangul(c) and unicodedata.is_normalized("NFC", c) for c in candidates)


def test_polars_reads_the_classes_as_re_does() -> None:
    characters = pl.Series(EVERY)
    for ranges in (HANGUL, CANDIDATE):
        ours = re.compile(f"[{ranges}]")
        assert characters.str.contains(f"[{ranges}]").to_list() == [bool(ours.search(c)) for c in EVERY]


def test_the_engine_counts_the_kinds_of_the_unicode_database() -> None:
    """Conjoining and halfwidth by their names, what no token holds, all Hangul, private use; each times its count."""
    named = {c: unicodedata.name(c, "") for c in EVERY}
    jamo = "\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb\uffa0-\uffdc"
    of_kind = {
        "conjoining": [c for c, name in named.items() if re.match("HANGUL (CHOSEONG|JUNGSEONG|JONGSEONG)", name)],
        "halfwidth": [c for c, name in named.items() if name.startswith("HALFWIDTH HANGUL")],
        "other": re.findall(f"(?![{CANDIDATE}{jamo}])[{HANGUL}]", "".join(EVERY)),
        "private": [c for c in EVERY if "\ue000" <= c <= "\uf8ff"],
    }
    everything = pl.Series(["".join(EVERY[at : at + 999]) for at in range(0, len(EVERY), 999)])
    counts = pl.repeat(2**60, len(everything), dtype=pl.UInt64, eager=True)
    all_, *kinds = _core.count_hangul(everything, counts)
    assert kinds == [2**60 * len(characters) for characters in of_kind.values()]
    assert all_ == 2**60 * sum(map(has_hangul, EVERY))
