"""The candidates that refine left as rows to decide on: what depends on what, flags, stems."""

import polars as pl

from kovocab.curating import flags
from kovocab.curating.groups import stems
from kovocab.refining.candidates import Vocabulary
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.script import SPACE


def rows_of(candidates: pl.DataFrame, settings: RefineSettings) -> tuple[pl.DataFrame, pl.Series]:
    """The rows, and of each the row of the candidates' table that it is; see `Curation.rows`."""
    new = candidates.with_row_index("at").filter(~pl.col("base")).sort("count", "token", descending=[True, False])
    rows = new.with_row_index("row")
    number_of = pl.repeat(None, len(candidates), eager=True, dtype=pl.UInt32).scatter(rows["at"], rows["row"])
    pairs = Vocabulary.of_table(candidates).needs().filter(pl.col("row") != pl.col("needed"))
    pairs = pl.DataFrame(
        [number_of.gather(pairs["needed"]).alias("row"), number_of.gather(pairs["row"]).alias("child")]
    )
    children = pairs.drop_nulls().sort("row", "child").group_by("row", maintain_order=True).agg(children="child")
    least = (
        pl.when("character").then(min(settings.min_count, settings.min_syllable_count)).otherwise(settings.min_count)
    )
    of_tokens = flags.of_tokens(rows["token"], rows["count"], rows.select(least).to_series())
    empty = pl.lit([], dtype=pl.List(pl.String))
    made = (
        rows.join(children, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.col("children").fill_null(pl.lit([], dtype=pl.List(pl.UInt32))),
            of_tokens,
            pl.Series("stem", stems(rows["token"].to_list(), rows["count"].to_list()), dtype=pl.String),
            rank=pl.col("count").rank("min", descending=True).cast(pl.UInt32),
            length=pl.col("token").str.strip_prefix(SPACE).str.len_chars(),
            kind=pl.lit(None, dtype=pl.String),
            kept=pl.col("why").is_null(),
            why=pl.col("why").cast(pl.String),
            sources=empty,
        )
        .select(
            "row",
            "token",
            "count",
            "seen",
            "rank",
            "length",
            "kind",
            "stem",
            "left",
            "right",
            "children",
            "kept",
            "why",
            "round",
            "flags",
            "sources",
        )
    )
    return made, rows["at"]
