"""Charts: Altair's, as SVG in the page. Their texts stay texts, and the page's stylesheet gives colours for the dark.

Every colour is named here once, by its place in the stylesheet: `style.css` has a rule for each.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle, islice
from typing import Any

from kovocab.errors import NotInstalled
from kovocab.evaluating.compared import visible

INK, MUTED, GRID = "#1c2733", "#5f6c7b", "#dde3ea"
BEFORE, AFTER = "#8d99a6", "#2f6fdd"
SERIES = ("#2f6fdd", "#d9622b", "#1f9d6b", "#8a4fd0", "#c2357a", "#8a7a1f")
SHARES = ("#2f6fdd", "#8db4f2", "#c8d0d9")
WIDTH, BAR, FONT = 340, 17, 11

Rows = Sequence[dict[str, Any]]


@contextmanager
def charts_installed() -> Iterator[None]:
    """Round all that draws.

    Raises:
        NotInstalled: a package of the extra is not there; says how to get it.
    """
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"{error.name} is not installed; wanted what a report needs: pip install 'kovocab[report]'"
        ) from error
    yield


def bars(rows: Rows, models: Sequence[str], form: str, most: float | None = None) -> str:
    """Two bars a name, before and after, with their values.

    Args:
        rows: `name`, `model` (one of `models`) and `value`.
        models: The two, in order.
        form: How values are written, in d3's notation.
        most: Where the axis ends; behind the longest bar, if not given.
    """
    import altair as alt

    rows = _plain(rows)
    names = list(dict.fromkeys(row["name"] for row in rows))
    end = most or max(row["value"] for row in rows) or 1
    base = alt.Chart(_data(rows)).encode(
        y=_names(names),
        yOffset=alt.YOffset("model:N", sort=list(models)),
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, end * 1.25])),
    )
    colour = alt.Color("model:N", scale=alt.Scale(domain=list(models), range=[BEFORE, AFTER]), legend=None)
    label = base.mark_text(align="left", dx=4, color=INK).encode(text=alt.Text("value:Q", format=form))
    return _svg(base.mark_bar().encode(color=colour) + label, 2 * BAR * len(names) + 10 * len(names))


def stacked(rows: Rows, parts: Sequence[str], shades: Sequence[str] = SHARES) -> str:
    """A bar a name, of parts that make up a whole: rows of `name`, `part` (one of `parts`) and `value`, 0 to 1."""
    import altair as alt

    rows = _plain(rows)
    names = list(dict.fromkeys(row["name"] for row in rows))
    placed = [row | {"order": parts.index(row["part"])} for row in rows]
    chart = alt.Chart(_data(placed)).mark_bar().encode(
        y=_names(names),
        x=alt.X(
            "value:Q",
            stack="zero",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%", title=None, values=[0, 0.25, 0.5, 0.75, 1]),
        ),
        color=alt.Color("part:N", scale=alt.Scale(domain=list(parts), range=list(shades)), legend=None),
        order="order:Q",
    )  # fmt: skip
    return _svg(chart, (BAR + 7) * len(names) + 24)


def columns(rows: Rows, parts: Sequence[str], shades: Sequence[str] = SERIES) -> str:
    """Columns by `x`, whole numbers, each of `part`s on top of one another with their `value`."""
    import altair as alt

    placed = [row | {"order": parts.index(row["part"])} for row in rows]
    chart = alt.Chart(_data(placed)).mark_bar().encode(
        x=alt.X("x:O", sort=list(dict.fromkeys(row["x"] for row in rows)), axis=alt.Axis(title=None, labelAngle=0)),
        y=alt.Y("value:Q", stack="zero", axis=alt.Axis(title=None, format="~s", tickCount=5)),
        color=alt.Color("part:N", scale=alt.Scale(domain=list(parts), range=list(shades[: len(parts)])), legend=None),
        order="order:Q",
    )  # fmt: skip
    return _svg(chart, 200)


def lines(
    rows: Rows,
    series: Sequence[str],
    *,
    ends: Sequence[float] = (),
    names: Sequence[str] | None = None,
    labels: str | None = None,
    form: str = "~g",
    zero: bool = False,
    whole: bool = True,
) -> str:
    """Lines with points.

    Args:
        rows: `x`, `series` (one of `series`) and `value`.
        series: In the order of their colours.
        ends: Places on the x axis with a dotted line.
        names: The values of `x` in order, where they are names.
        labels: How each point's value is written at it, if it is.
        form: The same on the y axis.
        zero: Whether the y axis begins at 0.
        whole: Whether `x` counts something.
    """
    import altair as alt

    rows, series = _plain(rows), list(map(visible, series))
    kind = "N" if names is not None else "Q"
    ticks = {"tickMinStep": 1} if whole else {}
    top = max(row["value"] for row in rows) * 1.12 if labels else alt.Undefined  # so that a label has room
    if names is None:
        axis = alt.Axis(title=None, grid=False, format="~s", **ticks)
        scale = alt.Scale(nice=False, zero=False, padding=24 if labels else 8)
    else:
        angle = -40 if max(map(len, names)) > 3 else 0
        deep = 0.64 * max(map(_width, names)) + FONT  # of a label that is turned by 40 degrees
        axis = alt.Axis(title=None, grid=False, labelAngle=angle, minExtent=deep if angle else 0)
        room = max(0.5, (len(names) - 1) / 6) if labels else 0.5  # an eighth of the width, for the last label
        scale = alt.Scale(padding=room)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X(f"x:{kind}", axis=axis, sort=names, scale=scale),
        y=alt.Y(
            "value:Q",
            axis=alt.Axis(title=None, format=form, tickCount=5, minExtent=32),
            scale=alt.Scale(zero=zero, domainMax=top),
        ),
    )
    colour = alt.Color("series:N", scale=alt.Scale(domain=list(series), range=colours(len(series))), legend=None)
    few = len(rows) <= 60 * len(series)
    chart = base.mark_line(strokeWidth=1.8).encode(color=colour)
    chart = chart + base.mark_point(size=18, filled=True, opacity=1).encode(color=colour) if few else chart
    if ends:
        rules = alt.Chart(_data([{"x": end} for end in ends])).mark_rule(strokeDash=[2, 3], color=MUTED).encode(x="x:Q")
        chart = rules + chart
    if labels:
        chart += base.mark_text(align="left", dy=-8, dx=3, color=INK).encode(text=alt.Text("value:Q", format=labels))
    return _svg(chart, 200)


def colours(series: int) -> list[str]:
    """Those of so many series; behind the last, the first comes again."""
    return list(islice(cycle(SERIES), series))


def _plain(rows: Rows) -> list[dict[str, Any]]:
    """Rows whose texts can be drawn: a source may be called anything."""
    return [{key: visible(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows]


def _names(names: Sequence[str]) -> Any:
    import altair as alt

    # Measured here: what draws has perhaps no font that has Hangul.
    wide = min(max(map(_width, names), default=0), 150)
    axis = alt.Axis(title=None, minExtent=wide, maxExtent=wide, labelLimit=wide + 10, ticks=False, domain=False)
    return alt.Y("name:N", sort=list(names), axis=axis, scale=alt.Scale(paddingInner=0.25, paddingOuter=0.1))


def _width(text: str) -> float:
    return sum(1 if unicodedata.east_asian_width(c) in "WF" else 0.62 for c in text) * FONT + 6


def _data(rows: Rows) -> Any:
    import altair as alt

    return alt.Data(values=list(rows))


def _svg(chart: Any, height: int) -> str:
    """Draw; ids are numbered over the page by `separate`."""
    import altair as alt
    import vl_convert

    made = (
        chart.properties(width=WIDTH, height=height, background="transparent", padding=3)
        .properties(autosize=alt.AutoSizeParams(type="fit", contains="padding"))
        .configure(font="sans-serif", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=FONT, labelColor=MUTED, gridColor=GRID, domainColor=GRID, tickColor=GRID, labelPadding=5
        )
        .configure_text(fontSize=FONT)
    )  # fmt: skip
    return str(vl_convert.vegalite_to_svg(made.to_dict()))


def separate(page: str) -> str:
    """A page whose drawings have ids of their own: each has a `clip0`."""
    numbers = count()

    def own(drawing: re.Match[str]) -> str:
        number = next(numbers)
        return re.sub(r'(\bid="|url\(#)', rf"\g<1>c{number}-", drawing[0])

    return re.sub(r"<svg .*?</svg>", own, page, flags=re.DOTALL)
