"""The table of stages.py and what it says of each question: arithmetic on the runs' figures, and no torch."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from stages_setting import ARMS, LANGUAGES, QUESTIONS, REFERENCE, SIZES

Row = dict[str, Any]
BASES = {"tokens": "tokens", "compute": "flops", "text": "korean_bytes"}
"""What arms are made equal in, and the column of a curve that counts it."""


def end(row: Row, size: str) -> Row:
    """A run where it has had as many tokens as all: the reference goes on from there."""
    steps = SIZES[size].steps
    return dict(next(point for point in row["curve"] if point["step"] == steps))


def at(row: Row, column: str, value: float, language: str) -> float | None:
    """What a run of one stage was where `column` was `value`: on a line over its logarithm, between two points.

    None outside of all points.
    """
    for left, right in zip(row["curve"], row["curve"][1:], strict=False):
        if left[column] <= value <= right[column]:
            share = math.log(value / left[column]) / math.log(right[column] / left[column])
            return float(left[language] + share * (right[language] - left[language]))
    return None


def less(row: Row, reference: Row, basis: str, language: str, size: str) -> float | None:
    """The bits per byte of a run at its end, less those of the reference where it has cost or read as much."""
    own = end(row, size)
    if row["arm"] == reference["arm"]:
        return 0.0
    there = at(reference, BASES[basis], own[BASES[basis]], language)
    return None if there is None else own[language] - there


def by_seed(rows: Sequence[Row]) -> dict[int, dict[str, Row]]:
    """The runs of each seed, by their arms."""
    found: dict[int, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(row["seed"], {})[row["arm"]] = row
    return found


def differences(rows: Sequence[Row], one: str, other: str, basis: str, language: str, size: str) -> list[float]:
    """One arm less another, for each seed that has both and the reference."""
    found = []
    for runs in by_seed(rows).values():
        if {one, other, REFERENCE} <= runs.keys():
            pair = [less(runs[arm], runs[REFERENCE], basis, language, size) for arm in (one, other)]
            if pair[0] is not None and pair[1] is not None:
                found.append(pair[0] - pair[1])
    return found


def shown(values: Sequence[float], form: str = "{:.3f}") -> str:
    """A mean, and the smallest and largest of several."""
    if not values:
        return "–"
    mean = form.format(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({form.format(min(values))} to {form.format(max(values))})"


def verdict(values: Sequence[float]) -> str:
    """What differences of bits per byte say: nothing, where they lie further apart than their mean is from 0."""
    if not values:
        return "not measured"
    mean, spread = sum(values) / len(values), max(values) - min(values)
    said = shown(values, "{:+.4f}")
    if len(values) == 1:
        return f"{said}, of one seed, which tells nothing apart"
    number = {2: "two", 3: "three"}.get(len(values), str(len(values)))
    if spread >= abs(mean):
        return f"{said}: not told apart by {number} seeds"
    return f"{said}: {'yes' if mean < 0 else 'no, the other way round'}"


def section(size: str, base: Row, rows: Sequence[Row]) -> str:
    """What there is, as Markdown."""
    check(base, rows)
    seeds = ", ".join(map(str, sorted(by_seed(rows))))
    most = max(end(row, size)["flops"] for row in rows)
    unit, prefix = (1e15, "P") if most >= 1e15 else (1e9, "G")
    lines = [
        f"## The stages, against each other: `--size {size}`",
        "",
        "```sh",
        f"python benchmarks/stages.py --size {size}",
        "```",
        "",
        f"A Llama of {base['parameters'] / 1e6:.2f} M parameters, trained from nothing on English; seeds {seeds}. Bits "
        "per byte of held-out text, the mean of the seeds (the lowest to the highest). *Less c*: than arm c where it "
        "had as many tokens, FLOPs, or bytes of Korean; below 0 is better than c.",
        "",
        f"| arm | | runs | new tokens | Korean | English | {prefix}FLOPs | Korean MB | characters/s |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        f"| | the base, before | | | {base['korean']:.3f} | {base['english']:.3f} | | | |",
    ]
    for arm in ARMS:
        own = [row for row in rows if row["arm"] == arm]
        if own:
            ends = [end(row, size) for row in own]
            columns: list[tuple[Callable[[int], float], str]] = [
                (lambda i, ends=ends: ends[i]["korean"], "{:.3f}"),  # type: ignore[misc]
                (lambda i, ends=ends: ends[i]["english"], "{:.3f}"),  # type: ignore[misc]
                (lambda i, ends=ends: ends[i]["flops"] / unit, "{:.4g}"),  # type: ignore[misc]
                (lambda i, ends=ends: ends[i]["korean_bytes"] / 1e6, "{:.3f}"),  # type: ignore[misc]
                (lambda i, own=own: own[i]["characters_per_second"], "{:.0f}"),  # type: ignore[misc]
            ]
            cells = [shown([column(i) for i in range(len(own))], form) for column, form in columns]
            lines.append(f"| {arm} | {ARMS[arm].about} | {len(own)} | {own[0]['new_tokens']:,} | {' | '.join(cells)} |")
    lines += ["", "| less c, at equal | " + " | ".join(f"{basis}: {what}" for basis, what in _columns()) + " |"]
    lines += ["|---|" + "--:|" * len(_columns())]
    for arm in ARMS:
        if arm != REFERENCE and any(row["arm"] == arm for row in rows):
            found = [differences(rows, arm, REFERENCE, basis, what, size) for basis, what in _columns()]
            lines.append(f"| {arm} | " + " | ".join(shown(values, "{:+.3f}") for values in found) + " |")
    lines += ["", "One arm less the other, in bits per byte, each seed by itself; below 0 the first is better.", ""]
    there = {row["arm"] for row in rows}
    for question, one, other in QUESTIONS:
        if not {one, other} <= there:
            continue
        lines.append(f"- **{question}** {one} less {other}.")
        for language in LANGUAGES:
            said = [
                f"equal {basis} {verdict(differences(rows, one, other, basis, language, size))}" for basis in BASES
            ]  # fmt: skip
            lines.append(f"  - {language.capitalize()}: {'; '.join(said)}.")
    return "\n".join(lines) + "\n"


def check(base: Row, rows: Sequence[Row]) -> None:
    """See that all were measured on the same text."""
    wanted = {name: text["bytes"] for name, text in base["texts"].items()}
    for row in rows:
        if row["texts"] != wanted:
            raise SystemExit(f"{row['arm']}, seed {row['seed']}, was measured on {row['texts']} bytes; wanted {wanted}")


def _columns() -> list[tuple[str, str]]:
    return [(basis, language) for language in LANGUAGES for basis in BASES]
