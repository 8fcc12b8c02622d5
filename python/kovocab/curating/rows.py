"""The candidates that refine left as rows to decide on: what depends on what, flags, stems."""

import re
from collections.abc import Sequence

import polars as pl

from kovocab.curating import flags
from kovocab.refining.candidates import Vocabulary
from kovocab.refining.settings import RefineSettings
from kovocab.tokenizer.script import SPACE

_PARTICLES = (
    "은 는 이 가 을 를 의 에 에서 에게 에게서 께 께서 한테 와 과 랑 이랑 하고 도 만 로 으로 로서 으로서 로써 "
    "으로써 부터 까지 처럼 같이 보다 만큼 마다 조차 마저 밖에 뿐 대로 나 이나 든지 이든지 라도 이라도 라 이라 "
    "란 이란 라고 이라고 라는 이라는 라면 이라면 며 이며 야 이야 요 이요 여 이여 들 님 씨 적 적인 적으로"
)
_ENDINGS = (
    "다 이다 였다 이었다 입니다 입니까 인 일 이고 이지만 인데 이라서 이니 이므로 고 서 면 지 지만 는데 은데 니 "
    "니까 으니까 게 도록 려고 으려고 려면 기 기도 기에 음 던 든 는지 은지 을지 ㄴ지 거나 자 네 네요 죠 지요 "
    "세요 습니다 습니까 ㅂ니다 니다 어 어서 어도 어야 아 아서 아도 아야 었 았 었다 았다 었던 았던 었습니다 "
    "았습니다 하 하는 하고 하여 해 해서 했다 했던 한 할 함 하기 하지 하면 합니다 했습니다 되 되는 되고 되어 된 "
    "될 됨 돼 됐다 됩니다 되었다 된다 한다 시키는 시켜 당한 스러운 스럽게 롭게"
)
_BEHIND = re.compile(f"(?:{'|'.join(sorted({*_PARTICLES.split(), *_ENDINGS.split()}, key=len, reverse=True))}){{1,3}}")


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


def stems(tokens: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The stem of each token, without the space before it: 그리고, 그리고는 and 그리고서 are decided together.

    A token goes with the longest other candidate that it begins with, of two characters or more and emitted more often
    than it, if nothing but particles and endings follows; a space before it makes no difference.

    Args:
        tokens: As word counts write them.
        counts: How often each is emitted.
    """
    emitted: dict[str, int] = {}
    for token, count in zip(tokens, counts, strict=True):
        text = token.removeprefix(SPACE)
        emitted[text] = emitted.get(text, 0) + count
    found: dict[str, str] = {}
    for text in sorted(emitted, key=len):  # what a token begins with is shorter than it
        found[text] = text
        for end in range(len(text) - 1, 1, -1):
            stem = text[:end]
            if emitted.get(stem, 0) > emitted[text] and _BEHIND.fullmatch(text, end):
                found[text] = found[stem]
                break
    return [found[token.removeprefix(SPACE)] for token in tokens]
