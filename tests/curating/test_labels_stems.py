"""Stems: what one key decides at once."""

from kovocab.curating.labels import stems


def stem_of(counts: dict[str, int]) -> dict[str, str]:
    return dict(zip(counts, stems(list(counts), list(counts.values())), strict=True))


def test_what_is_decided_together() -> None:
    said = stem_of(
        {"▁그리고": 90, "▁그리고는": 8, "그리고서": 4, "▁그리": 3, "그리스": 50, "▁그리스에서": 9, "그": 200}
    )
    assert {said["▁그리고"], said["▁그리고는"], said["그리고서"]} == {"그리고"}
    assert {said["그리스"], said["▁그리스에서"]} == {"그리스"}
    assert said["▁그리"] == "그리"  # seldom emitted: no stem of what is frequent
    assert said["그"] == "그"


def test_the_space_before_makes_no_difference() -> None:
    assert stem_of({"▁영화": 50, "영화": 30, "영화를": 9}) == {"▁영화": "영화", "영화": "영화", "영화를": "영화"}
    assert stem_of({"▁영화": 5, "영화를": 9})["영화를"] == "영화를"
