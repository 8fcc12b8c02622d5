"""Charts: what is drawn is what was given, whatever things are called, in however many there are."""

import re
import xml.etree.ElementTree as ET

import pytest

from kovocab.reporting import charts
from support.measured import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def across(element: ET.Element) -> float:
    """Where it stands, from the left."""
    return float(re.search(r"translate\(([\d.]+)", element.get("transform"))[1])


def test_bars_have_their_values_and_their_lengths():
    rows = [{"name": "ko", "model": "a", "value": 8.0}, {"name": "ko", "model": "b", "value": 2.0}]
    svg = charts.bars(rows, ["a", "b"], ".2f")
    assert {"ko", "8.00", "2.00"} <= set(texts(svg))
    lengths = {
        colour: float(re.search(rf'd="M[^h]+h([\d.]+)[^>]+fill="{colour}"', svg)[1])
        for colour in (charts.BEFORE, charts.AFTER)
    }
    assert lengths[charts.BEFORE] == pytest.approx(4 * lengths[charts.AFTER])


@pytest.mark.parametrize("draw", ["bars", "stacked", "lines"])
def test_a_source_may_be_called_anything(draw):
    for name in (HOSTILE, "한국어 말뭉치", "a" * 300, "", "null", "[1]", "a.b[0]"):
        values = [
            {"name": name, "model": model, "part": model, "series": name, "x": model, "value": 0.5} for model in "ab"
        ]
        svg = {
            "bars": lambda values=values: charts.bars(values, ["a", "b"], ".1f"),
            "stacked": lambda values=values: charts.stacked(values, ["a", "b"]),
            "lines": lambda values=values, name=name: charts.lines(values, [name], names=["a", "b"]),
        }[draw]()
        assert texts(svg)
        assert not re.search("[\x00-\x08\x1b\u202e]", svg)
        assert "<script" not in svg
        if name == "한국어 말뭉치" and draw != "lines":
            assert name in texts(svg)


def test_columns_stand_in_the_order_that_they_are_given_in():
    rows = [{"x": x, "part": "a", "value": 1} for x in ("1", "2", "9", "10+")]
    assert [text for text in texts(charts.columns(rows, ["a"])) if text in {"1", "2", "9", "10+"}][:4] == [
        "1",
        "2",
        "9",
        "10+",
    ]


@pytest.mark.parametrize("rounds", [1, 2, 6, 12])
def test_labels_stand_right_of_their_points_and_in_the_drawing(rounds):
    """A line that falls from the left would run through them, and the last one's end was cut off."""
    rows = [{"x": str(at), "series": "", "value": 40_000 // (at + 1) ** 2} for at in range(rounds)]
    svg = ET.fromstring(charts.lines(rows, [""], names=[row["x"] for row in rows], labels=",", zero=True))
    by_text = {element.text: element for element in svg.iter(f"{SVG}text")}
    labels = [by_text[f"{row['value']:,}"] for row in rows]
    assert {label.get("text-anchor") for label in labels} == {"start"}
    points = [path for path in svg.iter(f"{SVG}path") if "A" in path.get("d")]
    assert list(map(across, labels)) == pytest.approx([across(point) + 3 for point in points])
    assert across(labels[-1]) + 0.62 * charts.FONT * len(labels[-1].text) < float(svg.get("width"))


def test_more_series_than_colours():
    rows = [{"x": x, "series": f"s{at}", "value": at + x} for at in range(9) for x in (1, 2)]
    svg = charts.lines(rows, [f"s{at}" for at in range(9)])
    assert len(re.findall(r'stroke-width="1.8"', svg)) == 9


def test_one_value_and_zeros_are_drawn():
    zero = [{"name": "a", "model": "x", "value": 0.0}]
    assert "0.00" in texts(charts.bars(zero, ["x", "y"], ".2f"))
    assert texts(charts.lines([{"x": 1, "series": "a", "value": 0.0}], ["a"]))


def test_drawings_have_ids_of_their_own():
    one = '<svg ><clipPath id="clip0"/><g clip-path="url(#clip0)"/></svg>'
    page = charts.separate(f'<section id="clip0">{one}{one}</section>')
    assert re.findall(r'id="([^"]+)"', page) == ["clip0", "c0-clip0", "c1-clip0"]
    assert re.findall(r"url\(#([^)]+)\)", page) == ["c0-clip0", "c1-clip0"]
