"""What `evaluate` leaves and prints: evaluation.json, and tables for a terminal."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kovocab.artefact import check_file, new_file
from kovocab.errors import ArtefactError
from kovocab.evaluating.form import Evaluation
from kovocab.record import Record, as_json, difference, parsed

FILE = "evaluation.json"

ALL = "all"
"""The script of a whole source, and the source of all of them together."""

SHOWN = 10
"""Rows of unlearned tokens that are printed."""


def read_evaluation(path: str | Path) -> Record:
    """What `kovocab evaluate` left, see `docs/evaluating.md`.

    Raises:
        ArtefactError: it is not there, or is not that; names the key.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}; wanted what `kovocab evaluate` wrote") from error
    return parsed(text, path, Evaluation)


def check_out(path: Path) -> None:
    """Check, before long work, that an evaluation can be written there.

    Raises:
        ArtefactError: it cannot, or something else is there.
    """
    check_file(path, _is_evaluation, "evaluation")


def check_replaced(
    path: Path,
    texts: Mapping[str, str],
    models: Collection[str],
    *,
    tasks: bool,
    unlearned: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """See, before long work, that no figures are lost: an evaluation that is there is of these texts and models.

    Args:
        path: The file that is to be written.
        texts: What is measured on: by source, the hash of its text.
        models: What they are called.
        tasks: Whether tasks are run.
        unlearned: Whether unlearned tokens are looked for.
        settings: Of those that a record has, what figures depend on besides.

    Raises:
        ArtefactError: it is of another text or settings, of a model that is not measured now, or holds tasks or
            unlearned tokens that are not looked at now.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    before = read_evaluation(path)
    lost = [f"it has measured {each['name']}" for each in before["models"] if each["name"] not in models]
    lost += [f"its text of {each['source']} is another" for each in before["texts"]
             if texts.get(each["source"]) != each["sha256"]]  # fmt: skip
    lost += ["it holds tasks, and now none are run"] if before["tasks"] and not tasks else []
    lost += ["it holds unlearned tokens, and now none are looked for"] if before["unlearned"] and not unlearned else []
    asked = dict(settings or {})
    if differs := difference({"settings": {name: before["settings"].get(name) for name in asked}}, {"settings": asked}):
        lost.append(differs)
    if lost:
        raise ArtefactError(f"{path} is of other settings: {lost[0]}; --overwrite replaces it, or choose another --out")


def write_evaluation(path: Path, evaluation: Record) -> None:
    """Write it, in place of an earlier one."""
    with new_file(path) as beside:
        beside.write_bytes(as_json(evaluation, indent=1) + b"\n")


def _is_evaluation(path: Path) -> bool:
    try:
        read_evaluation(path)
    except ArtefactError:
        return False
    return True


_COLUMNS: Sequence[tuple[str, str, str]] = (
    ("bits_per_byte", "bits/byte", "{:.4f}"),
    ("tokens", "tokens", "{:,}"),
    ("tokens_per_word", "tokens/word", "{:.3f}"),
    ("bytes_per_token", "bytes/token", "{:.3f}"),
    ("one_token", "1 token", "{:.1%}"),
    ("two_tokens", "1 or 2", "{:.1%}"),
    ("used", "new used", "{:.1%}"),
)
"""Of a row: its key, what stands above, and how it is written."""


def figures(rows: Iterable[Mapping[str, Any]], first: str, keys: Sequence[str] | None = None) -> list[str]:
    """Lines of a table with a row each, and what is called by `first` in front; what is not known is a dash."""
    columns = [column for column in _COLUMNS if keys is None or column[0] in keys]
    rows = list(rows)
    wide = max([len(first), *(len(row[first]) for row in rows)])
    lines = [f"{first:<{wide}}" + "".join(f" {title:>12}" for _, title, _ in columns)]
    for row in rows:
        cells = ["-" if row.get(key) is None else form.format(row[key]) for key, _, form in columns]
        lines.append(f"{row[first]:<{wide}}" + "".join(f" {cell:>12}" for cell in cells))
    return lines


def table(evaluation: Record) -> str:
    """An evaluation for a terminal."""
    lines: list[str] = []
    for text in evaluation["texts"]:
        rows = [row for row in evaluation["figures"] if row["source"] == text["source"]]
        lines += [
            f"{text['source']}: {text['documents']:,} of {text['of']:,} documents, {text['bytes']:,} bytes, "
            f"{text['words']:,} words",
            *figures([row for row in rows if row["script"] == ALL], "model"),
            "",
        ]
        for script in dict.fromkeys(row["script"] for row in rows if row["script"] != ALL):
            some = [row for row in rows if row["script"] == script]
            if some[0]["documents"] < text["documents"]:
                lines += [
                    f"{text['source']}, {script}: {some[0]['documents']:,} documents, {some[0]['bytes']:,} bytes",
                    *figures(some, "model"),
                    "",
                ]
    seen = {(model["context"], model["stride"]) for model in evaluation["models"]}
    lines += [f"context {context:,} tokens, stride {stride:,}" for context, stride in sorted(seen)]
    lines += [f"left out: {each['model']}: {each['why']}" for each in evaluation["left_out"]]
    for row in evaluation["tasks"]:
        error = "" if row["stderr"] is None else f" ± {row['stderr']:.4f}"
        lines.append(f"{row['task']}, {row['metric']}: {row['model']} {row['value']:.4f}{error}")
    if (found := evaluation["unlearned"]) is not None:
        lines += ["", *_unlearned(found)]
    return "\n".join(lines)


def _unlearned(found: Record) -> list[str]:
    recall = "" if found["recall"] is None else f", {found['recall']:.1%} of their places predicted"
    lines = [
        f"{found['model']}: {found['tokens']:,} new tokens, {found['repeated']:.1%} repeated when asked, "
        f"{found['in_text']:,} in the text{recall}; the neediest:",
        f"{'need':>6} {'trained':>10} {'input':>6} {'output':>6} {'repeats':>7} {'held out':>8} {'recall':>6} "
        f"{'bits':>6}  token",
    ]
    for row in found["neediest"][:SHOWN]:
        trained, recall, bits = (
            "-" if row[key] is None else form.format(row[key])
            for key, form in (("trained", "{:,.1f}"), ("recall", "{:.0%}"), ("surprise", "{:.1f}"))
        )
        lines.append(
            f"{row['need']:>6.3f} {trained:>10} {row['input_norm']:>6.2f} {row['output_norm']:>6.2f} "
            f"{'yes' if row['repeats'] else 'no':>7} {row['held_out']:>8,} {recall:>6} {bits:>6}  {row['token']!r}"
        )
    return lines
