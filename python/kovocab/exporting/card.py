"""The model card: what was done, in words and tables, filled from the records and the evaluation alone. No torch.

It names sources and hub ids, and no path of the machine that it was made on.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kovocab.errors import quantity
from kovocab.exporting.languages import Scripts
from kovocab.exporting.metadata import front_matter
from kovocab.exporting.tables import cell, table
from kovocab.hub import HUB_ID
from kovocab.record import Record

ROUND_COLUMNS = ("round", "size", "unreachable", "dropped", "added", "tokens_per_word", "bytes_per_token")

_TAGS = ("vocabulary-expansion", "continued-pretraining")

MOST_DECISIONS = 20
"""How many tokens that were kept or dropped by hand are shown of each."""


def model_card(
    record: Record,
    name: str,
    *,
    base_model: str | None = None,
    licence: str | None = None,
    datasets: Sequence[str] = (),
    reader: str | None = None,
    notes: Sequence[str] = (),
    prompt: str | None = None,
    measured: str = "",
) -> str:
    """The README.md of an exported model.

    Args:
        record: The record of the stage that is exported.
        name: What the model is called.
        base_model: The base's hub id; what the records say of it, if not given.
        licence: The identifier of the model's licence, as the hub has them.
        datasets: Names on the hub of what it was trained on.
        reader: What is needed to read the model, where not every reader can.
        notes: What else is to be known of the folder, a paragraph each.
        prompt: A text for the example to go on from; without it the example only opens the model.
        measured: The section on what was measured, see `kovocab.exporting.measured`.

    Returns:
        Markdown, headed by the YAML that the hub reads. What a record does not hold is left out.
    """
    runs = list(_runs(record))
    expanded = runs[0]["base"]
    base = base_model or _hub_id(expanded)
    parts = [
        front_matter(Scripts.of(expanded["tokenizer"]), licence, [base] if base else [], "finetune", _TAGS, datasets),
        f"# {name}",
        _summary(base, licence, expanded, runs),
        _usage(name, prompt),
        "" if reader is None else f"Reading it needs {reader}.",
        *notes,
        measured,
        *how_made(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def how_made(record: Record) -> list[str]:
    """The sections on what a stage was made of, and how: tokenizer, data, training, versions."""
    runs = list(_runs(record))
    data = "\n\n".join(["## Data", *_data(runs)])
    return [_tokenizer(runs[0]["base"]["tokenizer"], runs), data, _training(runs), _versions(record)]


def _hub_id(expanded: Record) -> str | None:
    """The base's name on the hub, from the record of `expand`; of a folder it is what the folder's config.json said."""
    if "base_name" in expanded:
        name: str | None = expanded["base_name"]
        return name
    said = str(expanded.get("base_model", ""))  # of a record of an earlier kovocab, which may be a folder's
    return said if HUB_ID.fullmatch(said) and not Path(said).exists() else None


def _summary(base: str | None, licence: str | None, expanded: Record, runs: list[Record]) -> str:
    first, stages = expanded["first_new_id"], [stage for run in runs for stage in _stages(run)]
    tokens, refined = sum(stage["tokens"] for stage in stages), expanded["tokenizer"]
    called = f"{expanded['new_tokens']:,} new {Scripts.of(refined).called} tokens"
    said = (
        f"{base or 'Its base'} with {called}: ids {first:,} to "
        f"{first + expanded['new_tokens'] - 1:,}, behind the base's own, which keep their meaning. "
        f"{_scaffolds(refined)}Trained on {tokens:,} tokens in {len(stages)} stage{'s' * (len(stages) > 1)}"
    )
    last = runs[-1]
    if len(runs) > 1:
        said += f" of {len(runs)} runs, each from what the one before it left"
    if last["stage"] != last["of"]:
        of = " of the last run" if len(runs) > 1 else ""
        said += f"; this is stage {last['stage']} of {last['of']}{of}, not the last"
    return said + "." + (" The base's licence applies to what was made from it." if licence is None else "")


def _scaffolds(refined: Record) -> str:
    """How many new tokens of a byte-level base are no text."""
    if not (held := refined.get("scaffolds", 0)):
        return ""
    are = "is a scaffold" if held == 1 else "are scaffolds"
    text = quantity(refined["new_tokens"] - held, "is text", "are text")
    return f"Of the new tokens {held:,} {are}, the first two bytes of characters and no text by themselves; {text}. "


def _usage(name: str, prompt: str | None) -> str:
    lines = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
        f'model = AutoModelForCausalLM.from_pretrained("{name}")',
    ]
    if prompt is not None:
        lines += [
            f'inputs = tokenizer("{prompt}", return_tensors="pt")',
            "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))",
        ]
    return "\n".join(["```python", *lines, "```"])


def _tokenizer(refined: Record, runs: list[Record]) -> str:
    counted, rounds = refined["words"], refined["rounds"]
    named = {"documents": "documents", "words_between_space": "words between white space"}
    sums = [f"{counted[key]:,} {name}" for key, name in named.items() if counted.get(key) is not None]
    corpus = _corpus(counted["corpus"], runs)
    said = f"The new tokens were found by counting {corpus}{': ' if sums else ''}{', '.join(sums)}."
    spelled = [_per_word(source["validation"]) for source in runs[-1]["data"]["sources"]]
    if None in spelled:
        spelled = []
    elif len(spelled) > 1:
        spelled = [_per_word(_summed([source["validation"] for source in runs[-1]["data"]["sources"]]))]
    if spelled and spelled[0] is not None:
        before, after = spelled[0]
        said += (
            f" Tokens per word, between white space, on held-out text: {before:.2f} with the base's tokenizer, "
            f"{after:.2f} with this one."
        )
    if "tokenizer_model_left_out" in refined:
        said += (
            " There is no tokenizer.model: SentencePiece cannot say what tokenizer.json does. Converters that want "
            "one, as llama.cpp's, lose the order of merges."
        )
    if "tokenizer_model_made" in refined:
        said += " tokenizer.model was made from the ranks of tokenizer.json."
    settings = table(("setting", "value"), list(refined["settings"].items()))
    rows = [[row[column] for column in ROUND_COLUMNS] for row in rounds]
    made = table([column.replace("_", " ") for column in ROUND_COLUMNS], rows)
    decided = _decisions(refined.get("decisions", {}))
    return "\n\n".join(["## Tokenizer", said, settings, *decided, "Rounds until nothing was dropped or added:", made])


def _decisions(decided: Record) -> Iterator[str]:
    """What was kept or dropped by hand: how many, and the first of them."""
    for key, verb in (("keep", "Kept"), ("drop", "Dropped")):
        if tokens := decided.get(key, []):
            shown = ", ".join(cell(token) for token in tokens[:MOST_DECISIONS])
            more = f" and {len(tokens) - MOST_DECISIONS:,} more" if len(tokens) > MOST_DECISIONS else ""
            many = f"{len(tokens):,} token{'s' * (len(tokens) > 1)}"
            yield f"{verb} by hand, whatever their counts: {many} ({shown}{more})."


def _data(runs: list[Record]) -> Iterator[str]:
    """What each run was trained on; runs that follow each other with the same data share a table."""
    for number, run in enumerate(runs, start=1):
        title = f"Run {number}: " if len(runs) > 1 else ""
        data, before = run["data"], runs[number - 2]["data"] if number > 1 else None
        if data == before:
            yield f"{title}as run {number - 1}."
            continue
        yield f"{title}packed to {data['length']:,} tokens." if title else f"Packed to {data['length']:,} tokens."
        yield _sources(data)
        if before is not None and _held_out(data) != _held_out(before):
            yield (
                f"Run {number} holds out other text than run {number - 1}: their held-out losses are not of the same "
                "text, and cannot be compared."
            )


def _sources(data: Record) -> str:
    rows = []
    for source in data["sources"]:
        counts, ratio = source["train"], _per_word(source["validation"])
        rows.append(
            (
                source["name"],
                f"{source['share']:.2%}",
                source["corpus"].get("bytes"),
                counts["documents"],
                counts["tokens"],
                source["validation"]["tokens"],
                *([] if ratio is None else [f"{ratio[0]:.2f} → {ratio[1]:.2f}"]),
            )
        )
    columns = ["source", "share", "bytes", "documents", "tokens", "held-out tokens"]
    if any(len(row) > len(columns) for row in rows):
        rows = [(*row, *[None] * (len(columns) + 1 - len(row))) for row in rows]
        columns.append("tokens per word, held out: base → this")
    return table(columns, rows)


def _per_word(counts: Record) -> tuple[float, float] | None:
    """Tokens per word with the base's tokenizer and with the target's, where it was counted."""
    words, before, after = (counts.get(key) for key in ("words", "base_text_tokens", "text_tokens"))
    return (before / words, after / words) if words and before is not None and after is not None else None


def _summed(parts: list[Record]) -> Record:
    return {key: sum(part[key] for part in parts) for key in ("words", "base_text_tokens", "text_tokens")}


def _held_out(data: Record) -> list[Any]:
    """What tells one held-out set from another: its texts, and how they are packed."""
    return [data["length"], *((source["corpus"], source["validation"]) for source in data["sources"])]


def _training(runs: list[Record]) -> str:
    """All stages in one table, numbered over all runs."""
    rows, notes, number = [], [], 0
    for run_number, run in enumerate(runs, start=1):
        for stage in _stages(run):
            number += 1
            settings, loss, freezing = stage["settings"]["stage"], stage["loss"], stage["freezing"]
            mode = settings.get("label_mode", "plain")
            rows.append(
                (
                    number,
                    *([run_number] if len(runs) > 1 else []),
                    settings["input_rows"],
                    settings["output_rows"],
                    ("LoRA" if "qlora" in stage else "all") if settings["layers"] else "none",
                    f"{settings['lr']:g}",
                    stage["steps"],
                    stage["tokens"],
                    loss["train"] if mode == "plain" else f"{cell(loss['train'])} ({mode})",
                    loss["val_before"],
                    loss["val"],
                    f"{freezing['verified_parameters']} of {freezing['frozen_parameters']}",
                )
            )
            notes += [_quantized(stage, number)] if "qlora" in stage else []
    settings_columns = ("input rows", "output rows", "layers", "lr", "steps", "tokens")
    columns = ("stage", *(["run"] if len(runs) > 1 else []), *settings_columns)
    columns = (*columns, "training loss", "held-out before", "held-out after", "frozen, verified")
    said = (
        "What a stage does not name was frozen. At its end, frozen parameters were compared "
        "with their start bit for bit (last column: how many); none had moved."
    )
    return "\n\n".join(["## Training", said, table(columns, rows), *notes])


def _quantized(stage: Record, number: int) -> str:
    settings, merged = stage["qlora"]["settings"], stage["loss"].get("val_merged")
    said = f"Stage {number} held the layers in 4 bits (NF4), and its losses above are with those."
    if stage["settings"]["stage"]["layers"]:
        said += f" LoRA of rank {settings['rank']} (alpha {settings['alpha']:g}) was merged into the plain weights."
    return said if merged is None else f"{said} What it left, with plain weights, has held-out loss {merged:.4g}."


def _versions(record: Record) -> str:
    return "Made with " + ", ".join(f"{name} {number}" for name, number in record["versions"].items()) + "."


def _runs(record: Record) -> Iterator[Record]:
    """The record of the last stage of each run that led to `record`, the first run's first."""
    if record["base"]["verb"] == "fit":
        yield from _runs(record["base"])
    yield record


def _stages(run: Record) -> list[Record]:
    return [*run["earlier"], run]


def _corpus(fingerprint: Record, runs: list[Record]) -> str:
    """A corpus in few words: as the source that was trained on is called, if it is one, else its size."""
    files = fingerprint.get("files")
    if not isinstance(files, list):
        return "text in memory"
    names = {source["name"]: source["corpus"] for run in runs for source in run["data"]["sources"]}
    known = next((name for name, corpus in names.items() if corpus.get("files") == files), None)
    called = f"the text of {known}" if known else f"{len(files):,} file{'s' * (len(files) > 1)}"
    size = fingerprint.get("bytes")
    return called if size is None else f"{called} ({size:,} bytes)"
