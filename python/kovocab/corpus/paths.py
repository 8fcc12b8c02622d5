"""Paths into what a document stands in: `document[].paragraph[].form`, of objects and arrays, structs and lists."""

import re
from collections.abc import Sequence

import polars as pl

from kovocab.errors import UsageError

EACH = "[]"


def steps_of(column: str) -> list[str]:
    """The steps of a path: a key, or `[]`, each element.

    Raises:
        UsageError: it is none.
    """
    parts = re.findall(r"\[\]|[^.\[\]]+|.", column, re.DOTALL)
    steps = [part for part in parts if part != "."]
    written = "".join(("." if at and step != EACH else "") + step for at, step in enumerate(steps))
    if not steps or written != column:
        raise UsageError(f"column is {column!r}; wanted a name, or a path such as document[].paragraph[].form")
    return steps


def is_path(column: str) -> bool:
    """Whether a column is one in another."""
    return "." in column or EACH in column


def shared(paths: Sequence[list[str]]) -> int | None:
    """How many steps all paths begin with to come to a row, up to the last `[]`; None if they are not of one row."""
    first = paths[0]
    count = len(first) - first[::-1].index(EACH) if EACH in first else 0
    of_a_row = all(path[:count] == first[:count] and EACH not in path[count:] for path in paths)
    return count if of_a_row else None


def nested(schema: pl.Schema, column: str) -> list[str] | str:
    """The column of a table that a path begins with, and its other steps; or what is not there."""
    root, *steps = [column] if column in schema or not is_path(column) else steps_of(column)
    if root not in schema:
        return f"no column {root!r}; it has {', '.join(schema) or 'none'}"
    found: pl.DataType = schema[root]
    at = root
    for step in steps:
        if step == EACH and isinstance(found, pl.List | pl.Array):
            found, at = found.inner, at + EACH  # type: ignore[assignment]
        elif isinstance(found, pl.Struct) and step != EACH:
            fields = {field.name: field.dtype for field in found.fields}
            if step not in fields:
                return f"{at!r} has no field {step!r}; it has {', '.join(fields) or 'none'}"
            found, at = fields[step], f"{at}.{step}"  # type: ignore[assignment]
        else:
            return f"column {at!r} is of type {found}; wanted {'a list' if step == EACH else f'a struct with {step!r}'}"
    if found not in (pl.String, pl.Categorical, pl.Enum):
        advice = f"; a path goes into each element of a list by {at}[]" if isinstance(found, pl.List | pl.Array) else ""
        return f"column {at!r} is of type {found}; wanted String{advice}"
    return [root, *steps]


def field(of: pl.Expr, steps: Sequence[str]) -> pl.Expr:
    """What steps by keys lead to in a struct."""
    for step in steps:
        of = of.struct.field(step)
    return of
