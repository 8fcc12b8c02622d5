"""The model card: what was done, in words and tables, filled from the records and nothing else. No torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kovocab.artefact import Record

ROUND_COLUMNS = ("round", "size", "unreachable", "dropped", "added", "tokens_per_word", "bytes_per_token")


def model_card(record: Record, name: str) -> str:
    """The README.md of an exported model.

    Args:
        record: The record of the stage that is exported.
        name: What the model is called.

    Returns:
        Markdown, headed by the YAML that the hub reads. What a record does not hold is left out.
    """
    expanded = _expanded(record)
    stages = list(_stages(record))
    parts = [
        _front_matter(expanded),
        f"# {name}",
        _summary(expanded, stages, record),
        _usage(name),
        _tokenizer(expanded["tokenizer"]),
        _data(record["data"]),
        _training(stages),
        _versions(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(expanded: Record) -> str:
    lines = ["language:", "- ko", "- en", "library_name: transformers", "pipeline_tag: text-generation"]
    base = str(expanded.get("base_model", ""))
    # The hub takes an id here and refuses the card for a path.
    if base.count("/") == 1 and not base.startswith((".", "/", "~")) and not Path(base).exists():
        lines.append(f"base_model: {base}")
    lines += ["tags:", "- korean", "- vocabulary-expansion", "- continued-pretraining", "- kovocab"]
    return "\n".join(["---", *lines, "---"])


def _summary(expanded: Record, stages: list[Record], record: Record) -> str:
    base, first = expanded.get("base_model", "the base"), expanded["first_new_id"]
    tokens = sum(stage["tokens"] for stage in stages)
    said = (
        f"{base} with {expanded['new_tokens']:,} new Korean tokens: ids {first:,} to "
        f"{first + expanded['new_tokens'] - 1:,}, behind the base's own, which keep their meaning. "
        f"Trained on {tokens:,} tokens in {len(stages)} stage{'s' * (len(stages) > 1)}"
    )
    whole = record["stage"] == record["of"]
    said += "." if whole else f"; this is stage {record['stage']} of {record['of']}, not the last."
    return said + " The base's licence applies to what was made from it."


def _usage(name: str) -> str:
    return f"""```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForCausalLM.from_pretrained("{name}")
inputs = tokenizer("안녕하세요", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
```"""


def _tokenizer(refined: Record) -> str:
    counted, rounds = refined["words"], refined["rounds"]
    sums = [
        f"{counted[key]:,} {key.replace('_', ' ')}"
        for key in ("documents", "words", "distinct_words")
        if key in counted
    ]
    said = f"The new tokens were found by counting {_corpus(counted['corpus'])}{': ' if sums else ''}{', '.join(sums)}."
    before, after = refined["base_tokens_per_word"], rounds[-1]["tokens_per_word"]
    if before is not None:
        said += (
            f" Tokens per word between white space: {before:.2f} with the base's tokenizer, {after:.2f} with this one."
        )
    settings = _table(("setting", "value"), list(refined["settings"].items()))
    rows = [[row[column] for column in ROUND_COLUMNS] for row in rounds]
    table = _table([column.replace("_", " ") for column in ROUND_COLUMNS], rows)
    return "\n\n".join(["## Tokenizer", said, settings, "Rounds until nothing was dropped or added:", table])


def _data(data: Record) -> str:
    rows = [
        (
            source["name"],
            f"{source['share']:.2%}",
            _corpus(source["corpus"]),
            source["train"]["documents"],
            source["train"]["tokens"],
            source["validation"]["tokens"],
        )
        for source in data["sources"]
    ]
    columns = ("source", "share", "corpus", "documents", "tokens", "held-out tokens")
    return f"## Data\n\nPacked to {data['length']:,} tokens.\n\n{_table(columns, rows)}"


def _training(stages: list[Record]) -> str:
    rows = []
    for stage in stages:
        settings, loss, freezing = stage["settings"]["stage"], stage["loss"], stage["freezing"]
        mode = settings.get("label_mode", "plain")
        rows.append(
            (
                stage["stage"],
                settings["input_rows"],
                settings["output_rows"],
                ("LoRA" if "qlora" in stage else "all") if settings["layers"] else "none",
                f"{settings['lr']:g}",
                stage["steps"],
                stage["tokens"],
                loss["train"] if mode == "plain" else f"{_cell(loss['train'])} ({mode})",
                loss["val_before"],
                loss["val"],
                f"{freezing['verified_parameters']} of {freezing['frozen_parameters']}",
            )
        )
    settings_columns = ("stage", "input rows", "output rows", "layers", "lr", "steps", "tokens")
    columns = (*settings_columns, "training loss", "held-out before", "held-out after", "frozen, verified")
    return (
        "## Training\n\nWhat a stage does not name was frozen. At its end, frozen parameters were compared "
        "with their start bit for bit (last column: how many); none had moved.\n\n" + _table(columns, rows)
    ) + "".join(f"\n\n{_quantized(stage)}" for stage in stages if "qlora" in stage)


def _quantized(stage: Record) -> str:
    settings, merged = stage["qlora"]["settings"], stage["loss"]["val_merged"]
    said = f"Stage {stage['stage']} held the layers in 4 bits (NF4), and its losses above are with those."
    if stage["settings"]["stage"]["layers"]:
        said += f" LoRA of rank {settings['rank']} (alpha {settings['alpha']:g}) was merged into the plain weights."
    return said if merged is None else f"{said} What it left, with plain weights, has held-out loss {merged:.4g}."


def _versions(record: Record) -> str:
    return "Made with " + ", ".join(f"{name} {number}" for name, number in record["versions"].items()) + "."


def _expanded(record: Record) -> Record:
    while record["verb"] == "fit":
        record = record["base"]
    return record


def _stages(record: Record) -> Iterator[Record]:
    """All stages that led to `record`, those of a run that it went on from first."""
    if record["verb"] == "fit":
        yield from _stages(record["base"])
        yield from record["earlier"]
        yield record


def _corpus(fingerprint: Record) -> str:
    """A corpus in few words, from its fingerprint."""
    files = fingerprint.get("files")
    if not isinstance(files, list):
        return "text in memory"
    names = ", ".join(str(file["name"]) for file in files[:3])
    more = f" and {len(files) - 3:,} more files" if len(files) > 3 else ""
    return f"{names}{more} ({fingerprint['bytes']:,} bytes)"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *[[_cell(value) for value in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
