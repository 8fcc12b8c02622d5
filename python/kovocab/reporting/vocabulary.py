"""The sections on text and tokens: a sentence in both, tokens per word, the new tokens themselves."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from kovocab.evaluating.compared import chosen_texts, compared
from kovocab.evaluating.evaluation import ALL
from kovocab.record import Record
from kovocab.reporting import charts
from kovocab.reporting.gathered import Gathered
from kovocab.reporting.markup import chips, escaped, figure, left_out, pieces
from kovocab.reporting.words import Words
from kovocab.tokenizer.script import SPACE, folded_name, script_names
from kovocab.tokenizer.tokenizer_json import TokenizerJson

CONTEXT = 4_096
LONGEST = 10
"""Characters of tokens that have a column of their own; longer ones share the last."""

SYLLABLES = "".join(map(chr, range(0xAC00, 0xD7A4)))
KSX = frozenset(syllable for syllable in SYLLABLES if len(syllable.encode("euc_kr")) == 2)  # others take eight


def korean(found: Gathered) -> bool:
    """Whether new tokens are Hangul; a record that names no script is of an earlier kovocab, which knew no other."""
    script = (found.refined or {}).get("settings", {}).get("script", "Hangul")
    return "hangul" in map(folded_name, script_names(script))


def sentences(found: Gathered, say: Words) -> Iterator[str]:
    """The same sentences in the tokens of base and target, side by side."""
    if found.base is None or found.target is None or found.first_new_id is None:
        yield left_out(say("sentence"), say(found.left_out.get("base", found.left_out.get("target", "no_expanded"))))
        return
    prompts = found.evaluation["settings"].get("prompts", []) if found.evaluation else []
    yield f'<p class="note">{escaped(say("sentence_said"))}</p>\n'
    for each in compared(chosen_texts(prompts, korean(found)), found.base, found.target, found.first_new_id):
        yield f"<blockquote>{escaped(each.text)}</blockquote>\n"
        sides = ((say("before"), each.base), (say("after"), each.target))
        shown = [
            f'<div><p class="note">{escaped(name)}: {escaped(say("count_tokens", n=len(tokens)))}</p>'
            f"{pieces(tokens)}</div>"
            for name, tokens in sides
        ]
        yield f'<div class="pair">{"".join(shown)}</div>\n'
        if not each.changed:
            yield f'<p class="note">{escaped(say("same_tokens"))}</p>\n'


def text(found: Gathered, say: Words) -> Iterator[str]:
    """Tokens per word, shares of words in few tokens, and what a context holds."""
    models = [say("before"), say("after")]
    legend = [("before", models[0]), ("after", models[1])]
    if not (pairs := before_and_after(found)):
        if rows := _recorded(found, models):
            yield figure(say("per_word_by"), charts.bars(rows, models, ".2f"), say("per_word_note"), legend)
        missing = ["shares", "context"] if rows else ["per_word_by", "shares", "context"]
        yield left_out(" · ".join(map(say, missing)), say(found.left_out.get("evaluation", "no_evaluation")))
        return
    rows = _values(pairs, models, "tokens_per_word")
    if rows:
        yield figure(say("per_word_by"), charts.bars(rows, models, ".2f"), say("per_word_note"), legend)
        parts = [say("one"), say("two"), say("more")]
        split = [
            {"name": f"{_short(source)} · {model}", "part": part, "value": share}
            for source, both in pairs.items()
            for model, row in zip(models, both, strict=True)
            if row["one_token"] is not None
            for part, share in zip(parts, _split(row), strict=True)
        ]
        yield figure(
            say("shares"), charts.stacked(split, parts), "", list(zip(("one", "two", "more"), parts, strict=True))
        )
    held = [
        {"name": source, "model": model, "value": CONTEXT * found.characters[source] / row["tokens"]}
        for source, both in pairs.items()
        if source in found.characters and all(row["tokens"] for row in both)
        for model, row in zip(models, both, strict=True)
    ]
    if held:
        yield figure(say("context"), charts.bars(held, models, ",.0f"), "", legend)
    else:
        yield left_out(say("context"), say("no_characters"))


def before_and_after(found: Gathered) -> dict[str, tuple[Record, Record]]:
    """By source the figures of the base and of the last stage, or of the expanded model where none is finished."""
    if found.evaluation is None:
        return {}
    own = [model for model in found.evaluation["models"] if model["kind"] in ("expanded", "stage")]
    grown = [model["name"] for model in own or found.evaluation["models"] if model["new_tokens"]]
    whole = {
        (row["model"], row["source"]): row
        for row in found.evaluation["figures"]
        if row["script"] == ALL and row["source"] != ALL
    }
    sources = dict.fromkeys(source for _, source in whole)
    if not grown:
        return {}
    both = {source: (whole.get(("base", source)), whole.get((grown[-1], source))) for source in sources}
    return {source: (before, after) for source, (before, after) in both.items() if before and after}


def _values(pairs: dict[str, tuple[Record, Record]], models: list[str], key: str) -> list[dict[str, Any]]:
    return [
        {"name": source, "model": model, "value": row[key]}
        for source, both in pairs.items()
        for model, row in zip(models, both, strict=True)
        if row[key] is not None
    ]


def _recorded(found: Gathered, models: list[str]) -> list[dict[str, Any]]:
    """Tokens per word as packing counted them on what is held out."""
    rows = []
    for source in found.last["data"]["sources"] if found.last else []:
        held = source["validation"]
        counts = [held.get(key) for key in ("base_text_tokens", "text_tokens")]
        if held.get("words") and None not in counts:
            rows += [
                {"name": source["name"], "model": model, "value": count / held["words"]}
                for model, count in zip(models, counts, strict=True)
            ]
    return rows


def _short(name: str) -> str:
    return name if len(name) <= 13 else f"{name[:12]}…"


def _split(row: Record) -> tuple[float, float, float]:
    return row["one_token"], row["two_tokens"] - row["one_token"], 1 - row["two_tokens"]


def new_tokens(found: Gathered, say: Words) -> Iterator[str]:
    """Refine's rounds, and its tokens by length, kind and count; syllables that are one token."""
    if found.refined is None:
        yield left_out(say("vocabulary"), say("no_expanded"))
        return
    shown = [{"x": str(row["round"]), "series": "", "value": row["size"]} for row in found.refined["rounds"]]
    yield '<div class="charts">'
    yield figure(
        say("rounds"),
        charts.lines(shown, [""], names=[row["x"] for row in shown], labels=",", form="~s", zero=True),
        say("rounds_note"),
    )
    if (table := found.vocabulary) is not None:
        new = table.filter(pl.col("id") >= found.first_new_id)
        kinds = [say("begins"), say("inside"), say("scaffold")]
        rows = _lengths(new, kinds)
        used = [kind for kind in kinds if any(row["part"] == kind for row in rows)]
        classes = {kind: f"s{at}" for at, kind in enumerate(kinds, start=1)}
        colours = [charts.SERIES[kinds.index(kind)] for kind in used]
        legend = [(classes[kind], kind) for kind in used]
        yield figure(say("lengths"), charts.columns(rows, used, colours), say("lengths_note"), legend)
    if korean(found) and found.target is not None:
        yield _coverage(found, found.target, say)
    yield "</div>\n"
    if found.words is None and korean(found):
        yield left_out(say("syllables"), say("no_words"))
    if table is None:
        yield left_out(say("lengths"), say("no_vocabulary"))
        return
    text = new.filter(~_scaffold()).sort(["count", "id"], descending=[True, False]).select("token", "count")
    said = text.filter(pl.col("count") > 0)
    yield f"<h3>{escaped(say('most'))}</h3>\n" + chips(said.head(100).rows())
    yield f"<h3>{escaped(say('least'))}</h3>\n" + chips(said.reverse().head(100).rows())
    if never := len(text) - len(said):
        yield f'<p class="note">{escaped(say("never", n=f"{never:,}"))}</p>\n'


def _scaffold() -> pl.Expr:
    return pl.col("token").str.contains(r"^(?:<0x[0-9A-F]{2}>)+$")


def _lengths(new: pl.DataFrame, kinds: list[str]) -> list[dict[str, Any]]:
    begins = pl.col("token").str.starts_with(SPACE)
    characters = pl.when(_scaffold()).then(1).otherwise(pl.col("token").str.strip_prefix(SPACE).str.len_chars())
    kind = pl.when(_scaffold()).then(2).when(begins).then(0).otherwise(1)
    counted = new.select(characters.clip(0, LONGEST).alias("x"), kind.alias("kind")).group_by("x", "kind").len()
    return [
        {"x": f"{x}+" if x == LONGEST else str(x), "part": kinds[kind], "value": count}
        for x, kind, count in counted.sort("x", "kind").rows()
    ]


def _coverage(found: Gathered, target: TokenizerJson, say: Words) -> str:
    """Shares of syllables that are a token by themselves."""
    models = [say("before"), say("after")]
    whole = [{c for c in SYLLABLES if c in each.texts} if each else None for each in (found.base, target)]
    weights = None if found.words is None else _weights(found)
    rows = []
    for model, own in zip(models, whole, strict=True):
        if own is None:
            continue
        shares = {say("ksx"): len(own & KSX) / len(KSX), say("modern"): len(own) / len(SYLLABLES)}
        if weights and (every := sum(weights.values())):
            shares[say("weighted")] = sum(weights.get(c, 0) for c in own) / every
        rows += [{"name": name, "model": model, "value": share} for name, share in shares.items()]
    legend = [("before", models[0]), ("after", models[1])][0 if whole[0] is not None else 1 :]
    return figure(say("syllables"), charts.bars(rows, models, ".1%", 1), "", legend)


def _weights(found: Gathered) -> dict[str, int]:
    """How often each syllable stands in the corpus."""
    character = pl.col("word").str.extract_all(f"[{SYLLABLES[0]}-{SYLLABLES[-1]}]")
    counted = (
        pl.scan_parquet(found.words, glob=False)  # type: ignore[arg-type]
        .select(character.alias("syllable"), "count").explode("syllable").drop_nulls()
        .group_by("syllable").agg(pl.col("count").sum()).collect()
    )  # fmt: skip
    return dict(counted.rows())
