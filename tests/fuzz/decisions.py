"""Files of decisions, CSV and Parquet: read as they were written, or one line that says which row is none.

An input is a row; twenty are a file.
"""

import csv
import io
import unicodedata
from pathlib import Path
from random import Random

import polars as pl

from fuzz.trying import damaged, seen, text
from kovocab.errors import UsageError
from kovocab.refining.candidates import Decisions

BATCH = 20
NO_DECISIONS = ["", "Keep", "keep ", " drop", "KEEP", "x", "0", "keep,drop", "\n", "null"]


def make(random: Random) -> tuple[str, str]:
    """A token and what is decided, as somebody may have written it."""
    draw = random.random()
    token = (
        text(random, 4).replace("\r", "")
        if draw < 0.2
        else random.choice(("", "▁", " "))
        + "".join(chr(random.randrange(0xAC00, 0xD7A4)) for _ in range(random.randrange(1, 5)))
    )
    return token, random.choice(("keep", "drop"))


def check(inputs: list[tuple[str, str]], random: Random, folder: Path) -> None:
    wrong = random.choice((0, 0, 0, 0.05))
    rows = [(token, random.choice(NO_DECISIONS) if random.random() < wrong else said) for token, said in inputs]
    if not random.randrange(4):
        rows.append((random.choice(rows)[0], random.choice(("keep", "drop"))))
    path = folder / random.choice(("d.csv", "d.csv", "d.parquet"))
    turned = random.random() < 0.3
    if path.suffix == ".parquet":
        table = pl.DataFrame(rows, {"token": pl.String, "decision": pl.String}, orient="row")
        (table.select("decision", "token") if turned else table).write_parquet(path)
    else:
        held = io.StringIO()
        writer = csv.writer(
            held,
            lineterminator=random.choice(("\n", "\r\n")),
            quoting=random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
        )
        writer.writerows(row[::-1] if turned else row for row in [("token", "decision"), *rows])
        path.write_bytes(held.getvalue().encode())
    if random.random() < 0.15:
        # One damaged Parquet file in some hundred thousand ends the process: Polars asks for more memory than there is.
        data = path.read_bytes()
        parquet = path.suffix == ".parquet"
        path.write_bytes(data[: random.randrange(len(data))] if parquet else damaged(data, random))
        found = seen(lambda: Decisions.load(path), UsageError)
        assert isinstance(found, Decisions) or str(path) in str(found), found
        return
    found = seen(lambda: Decisions.load(path), UsageError)
    wanted = expected(rows)
    if isinstance(wanted, str):
        assert isinstance(found, UsageError), (found, wanted)
        assert wanted in str(found), (found, wanted)
    else:
        assert (found.keep, found.drop) == wanted, (found, wanted)


def expected(rows: list[tuple[str, str]]) -> tuple[set[str], set[str]] | str:
    """What these rows say, or a part of the error."""
    for number, (token, said) in enumerate(rows, start=1):
        if not token or said not in ("keep", "drop"):
            return f", row {number}: "
    keep, drop = (
        {unicodedata.normalize("NFC", token.replace(" ", "▁")) for token, said in rows if said == which}
        for which in ("keep", "drop")
    )
    return "says both keep and drop" if keep & drop else (keep, drop)
