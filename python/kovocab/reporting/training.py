"""The section on training: a row a stage, loss, learning rate, bits per byte."""

from collections.abc import Iterator
from typing import Any

from kovocab.evaluating.evaluation import ALL
from kovocab.record import Record
from kovocab.reporting import charts
from kovocab.reporting.gathered import Gathered
from kovocab.reporting.markup import escaped, figure, left_out, number, table
from kovocab.reporting.words import Words
from kovocab.stages import Stage

POINTS = 400
"""Of a line, at most."""


def training(found: Gathered, say: Words) -> Iterator[str]:
    """A row a stage, and what its logs say."""
    if found.stages:
        columns = ("stage", "trains", "rate", "steps", "tokens", "train_loss", "val_before", "val_after")
        yield table([escaped(say(name)) for name in columns], map(_row, found.stages), words=2)
    else:
        yield left_out(say("training"), say("no_stage"))
    yield '<div class="charts">'
    rows, ends = _by_step(found)
    names = {"loss/train": say("train_loss"), "loss/val": say("val_loss")}
    losses = [point for key, name in names.items() for point in _line(rows, key, name)]
    rates = _line(rows, "lr", "lr")
    if losses:
        drawn = charts.lines(losses, list(names.values()), ends=ends)
        yield figure(say("loss"), drawn, say("by_step"), [("s1", say("train_loss")), ("s2", say("val_loss"))])
    if rates:
        yield figure(say("rate_title"), charts.lines(rates, ["lr"], ends=ends, form="~g", zero=True), say("by_step"))
    if bits := _bits(found, say):
        sources = list(dict.fromkeys(row["series"] for row in bits))
        drawn = charts.lines(bits, sources, names=list(dict.fromkeys(row["x"] for row in bits)))
        legend = [(f"s{at % len(charts.SERIES) + 1}", source) for at, source in enumerate(sources)]
        yield figure(say("bits_title"), drawn, say("bits_note"), legend)
    yield "</div>\n"
    if not losses:
        yield left_out(say("loss"), say("no_logs"))
    if not bits:
        yield left_out(say("bits_title"), say(found.left_out.get("evaluation", "no_evaluation")))
    measured = (found.evaluation or {}).get("run")
    if measured is not None and (was := measured["finished"]) != len(found.stages):
        yield left_out(say("bits_title"), say("old_evaluation", measured=was, done=len(found.stages)))


def _row(stage: Record) -> list[str]:
    settings, loss = stage["settings"]["stage"], stage["loss"]
    chosen = {key: settings[key] for key in ("input_rows", "output_rows", "layers")}
    trains = ", ".join(sorted(Stage(**chosen).blocks)).replace("_", " ")
    mode = settings.get("label_mode", "plain")
    return [
        str(stage["stage"]),
        escaped(trains if mode == "plain" else f"{trains} ({mode})"),
        f"{settings['lr']:g}",
        number(stage["steps"]),
        number(stage["tokens"]),
        *(number(loss[key], "{:.3f}") for key in ("train", "val_before", "val")),
    ]


def _by_step(found: Gathered) -> tuple[list[dict[str, float]], list[float]]:
    """Logged rows with their step over all stages as `x`, and where stages end."""
    rows, ends, before = [], [], 0.0
    for number_ in sorted({*found.logs, *range(1, len(found.stages) + 1)}):
        points = found.logs.get(number_, [])
        rows += [point | {"x": before + point["step"] + 1} for point in points]
        finished = number_ <= len(found.stages)
        before += found.stages[number_ - 1]["steps"] if finished else points[-1]["step"] + 1
        ends += [before] if finished else []
    return rows, ends


def _line(rows: list[dict[str, float]], key: str, name: str) -> list[dict[str, Any]]:
    """What was logged under a key, thinned to what a line can show."""
    there = [{"x": row["x"], "series": name, "value": row[key]} for row in rows if key in row]
    every = -(-len(there) // POINTS) or 1
    return there[:-1:every] + there[-1:]


def _bits(found: Gathered, say: Words) -> list[dict[str, Any]]:
    """Bits per byte as `evaluate` measured them, or as the stages' records have them."""
    if found.evaluation is None:
        return [
            {"x": f"{say('stage')} {stage['stage']}", "series": name, "value": source["bits_per_byte"]}
            for stage in found.stages
            for name, source in stage.get("evaluation", {}).get("sources", {}).items()
        ]
    called = {
        model["name"]: f"{say('stage')} {model['stage']}" if model["kind"] == "stage" else say(shown)
        for model in found.evaluation["models"]
        if (shown := {"base": "before", "expanded": "expanded", "stage": "stage"}.get(model["kind"])) is not None
    }
    return [
        {"x": called[row["model"]], "series": row["source"], "value": row["bits_per_byte"]}
        for row in found.evaluation["figures"]
        if row["script"] == ALL and row["source"] != ALL and row["model"] in called and row["bits_per_byte"] is not None
    ]
