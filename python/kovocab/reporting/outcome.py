"""The sections on what came of it: what new tokens have learned, promises, cost."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import polars as pl

from kovocab.reporting import charts
from kovocab.reporting.gathered import Gathered
from kovocab.reporting.markup import escaped, figure, left_out, number, table, tiles
from kovocab.reporting.words import Words

SHOWN = 30
"""Unlearned tokens that are listed."""

BINS = 40
"""Of the lengths of rows; those far out share the last."""


def learned(found: Gathered, say: Words) -> Iterator[str]:
    """The lengths of new rows, and the tokens that the model has not learned."""
    known = found.evaluation["unlearned"] if found.evaluation else None
    if known is None:
        yield left_out(say("learned"), say(found.left_out.get("evaluation", "no_unlearned")))
        return
    facts = [
        (say("new_tokens"), number(known["tokens"])),
        (say("repeated"), f"{known['repeated']:.1%}"),
        (say("in_text"), number(known["in_text"])),
        (say("recall"), number(known["recall"], "{:.1%}")),
    ]
    yield tiles(facts)
    if (rows := found.unlearned) is not None and not rows.is_empty():
        names = {"input_norm": say("input"), "output_norm": say("output")}
        drawn = charts.lines(_histogram(rows, names), list(names.values()), form="~s", zero=True, whole=False)
        yield figure(say("norms"), drawn, say("norms_note"), [("s1", say("input")), ("s2", say("output"))])
    else:
        yield left_out(say("norms"), say("no_unlearned"))
    columns = ("token", "need", "trained", "repeats", "held_out", "predicted", "surprise")
    yield f"<h3>{escaped(say('unlearned'))}</h3>\n"
    yield table(
        [escaped(say(name)) for name in columns],
        [
            [
                f"<bdi>{escaped(row['token'])}</bdi>",
                f"{row['need']:.3f}",
                number(row["trained"], "{:,.0f}"),
                escaped(say("yes" if row["repeats"] else "no")),
                number(row["held_out"]),
                number(row["predicted"]),
                number(row["surprise"], "{:.1f}"),
            ]
            for row in known["neediest"][:SHOWN]
        ],
    )


def _histogram(rows: pl.DataFrame, names: dict[str, str]) -> list[dict[str, Any]]:
    """How many new rows have which length, in equal steps from 0 to what nearly all are below."""
    top = max(float(rows[key].quantile(0.99) or 0.0) for key in names) * 1.1 or 1.0
    found = []
    for key, name in names.items():
        at = (rows[key] / top * BINS).clip(0, BINS - 1).cast(pl.Int64).value_counts()
        counts = dict(zip(at[key].to_list(), at["count"].to_list(), strict=True))
        found += [
            {"x": (place + 0.5) * top / BINS, "series": name, "value": counts.get(place, 0)} for place in range(BINS)
        ]
    return found


def promises(found: Gathered, say: Words) -> Iterator[str]:
    """What was promised, and on how much it was checked."""
    checked: dict[str, Any] = (found.refined or {}).get("promises", {})
    keys = {
        "base_tokens": "base_tokens",
        "texts_without_hangul": "texts_without_hangul",
        "new_tokens": "new_reachable",
        "texts_with_hangul": "texts_with_hangul",
        "texts_in_model": "texts_in_model",
    }
    rows = [
        [escaped(say(said)), number(checked[key])] for key, said in keys.items() if isinstance(checked.get(key), int)
    ]
    if found.stages:
        compared, moved = (
            sum(stage["freezing"][key] for stage in found.stages) for key in ("verified_parameters", "moved_parameters")
        )
        rows.append([escaped(say("frozen")), escaped(say("moved", n=f"{compared:,}", moved=f"{moved:,}"))])
    if rows:
        yield table([escaped(say("promise")), escaped(say("figure"))], rows)
    else:
        yield left_out(say("promises"), say("no_promises"))


def cost(found: Gathered, say: Words) -> Iterator[str]:
    """What it took: as far as records and logs say."""
    facts = []
    if found.refined is not None:
        facts.append((say("counted"), number(found.refined["words"].get("bytes"))))
    if found.last is not None:
        sources = found.last["data"]["sources"]
        facts.append((say("packed"), number(sum(source["train"]["tokens"] for source in sources))))
        facts.append((say("trained_on"), number(sum(stage["tokens"] for stage in found.stages))))
        facts.append((say("all_steps"), number(sum(stage["steps"] for stage in found.stages))))
    speeds = {
        stage: [row["tokens_per_second"] for row in rows if row.get("tokens_per_second")]
        for stage, rows in found.logs.items()
    }
    if every := [speed for own in speeds.values() for speed in own]:
        facts.append((say("speed"), f"{median(every):,.0f}"))
    if found.stages and all(speeds.get(stage["stage"]) for stage in found.stages):
        hours = sum(stage["tokens"] / median(speeds[stage["stage"]]) for stage in found.stages) / 3600
        facts.append((say("hours"), f"{hours:,.1f}" if hours >= 0.1 else f"{hours:.3f}"))
    if found.evaluation is not None:
        facts.append((say("measured"), f"{sum(model['seconds'] for model in found.evaluation['models']):,.0f}"))
    if facts:
        yield table(["", escaped(say("amount"))], [[escaped(name), value] for name, value in facts])
    else:
        yield left_out(say("cost"), say("no_stage"))
    versions = {**((found.last or {}).get("versions") or (found.evaluation or {}).get("versions") or {})}
    if versions:
        said = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield f'<p class="note">{escaped(say("versions"))} {escaped(said)}.</p>\n'
