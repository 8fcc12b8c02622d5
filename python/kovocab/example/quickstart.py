"""The whole street on a small example: every verb, run as a person would run it, and what came of it.

The base is a small Llama with random weights and a real tokenizer, carried by the package mistral_common, or a small
phi-2 with one learned on the spot; the text is `sample`'s, or yours. The losses show that every stage trains, not
that a model of this size learns Korean.
"""

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kovocab.artefact import check_file, check_replaceable, new_folder, remove_artefact
from kovocab.corpus.files import files
from kovocab.corpus.remote import shown
from kovocab.errors import ArtefactError, KovocabError, UsageError, quantity, whole
from kovocab.evaluating.evaluation import ALL, read_evaluation
from kovocab.evaluating.evaluation import FILE as EVALUATION
from kovocab.example.bases import BASES
from kovocab.machine.stopping import PARENT
from kovocab.ownership import is_marked, marked
from kovocab.record import RECORD, Record, read_record, write_record
from kovocab.refining.settings import suited_min_count
from kovocab.stages import Stage

STEPS = 12  # a stage: enough to see the loss fall, short enough for seven stages in a minute or two

EVALUATED = 10_000  # bytes of each source, ten models: enough to see the bits fall

FIT = """\
# kovocab fit --config {config}
schedule: eeve
run: {run}
model:
  model: {expanded}
data:
  sources:
    - {{ name: korean, corpus: {korean}, weight: 83 }}
    - {{ name: english, corpus: {english}, weight: 17 }}
  length: 128
  batch_size: 8
  validation_share: 0.02
  tokens_dir: {tokens}
defaults: {{ lr: 3e-3, steps: {steps}, weight_decay: 0.1 }}
trainer:
  accelerator: cpu
  gradient_clip_val: 1.0
  limit_val_batches: 8
checkpoint_every: {steps}
"""


def walk(
    out: Path, corpus: str | None, min_count: int | None, base_name: str = "llama", *, overwrite: bool = False
) -> None:
    """Run every verb into `out` and print what was made.

    Args:
        out: Folder of all artefacts; those of an earlier walk with the same settings are replaced, and what else is in
            it stays.
        corpus: A corpus of your own; sample text when None.
        min_count: Threshold of refine; one for each 100 kB of text, from 10 to 6,000, when None.
        base_name: Of `kovocab.example.bases.BASES`.
        overwrite: Whether those of an earlier walk with other settings are replaced too.

    Raises:
        ArtefactError: `out` is of an earlier walk with other settings, or holds files that are not kovocab's.
        UsageError: the package that carries the base tokenizer is not installed, `min_count` is less than 1, or
            `corpus` is a URL with secrets.
        CorpusError: `corpus` is not there.
        KovocabError: a verb failed; it said why.
    """
    if corpus is not None and shown(corpus) != corpus:
        raise UsageError(
            f"--corpus {shown(corpus)}: the URL holds a user name, a password or a query, which the quickstart would "
            "write into fit.yaml; wanted it without, and credentials in the environment or in a profile"
        )
    words, base, korean = f"{out}/words.parquet", f"{out}/base", corpus or f"{out}/korean.txt"
    english = f"{out}/english.txt"
    config = out / "fit.yaml"
    settings: Record = {"base": base_name, "corpus": corpus, "min_count": min_count}
    check_replaceable(out / "base", "quickstart")
    if not overwrite:
        _check_same(out, settings)
    check_file(config, is_marked, "configuration")
    if (out / "stages").is_dir() and not (out / "base").is_dir():
        raise UsageError(f"{out} holds stages that are not the quickstart's; choose another folder")
    if min_count is not None:
        whole("min_count", min_count)
    if corpus is not None:
        files(corpus)
    _make_base(out / "base", settings)
    _run("sample", out=english, megabytes=0.5, language="en")
    if corpus is None:
        _run("sample", out=korean, megabytes=2, language="ko")
        _run("sample", out=f"{out}/held_out.txt", megabytes=0.2, language="ko", seed=1)
    _run("count", corpus=korean, tokenizer=base, out=words, overwrite=True)
    if min_count is None:
        from kovocab.counting.word_counts import read_counted

        min_count = suited_min_count(read_counted(words)["bytes"])
    thresholds = {"min_count": min_count, "min_syllable_count": min_count}
    _run("refine", words=words, base=base, out=f"{out}/tokenizer", overwrite=True, **thresholds)
    _run("expand", model=base, tokenizer=f"{out}/tokenizer", out=f"{out}/expanded", pad_to_multiple_of=64,
         overwrite=True)  # fmt: skip
    from kovocab.run.folder import Run  # with torch

    for stage in sorted((out / "stages").glob("[0-9]*")):  # of an earlier walk, perhaps on another text
        remove_artefact(stage, "fit")
    with suppress(ArtefactError):  # none is there, or one that somebody changed
        remove_artefact(out / "export", "export")
    for begun in (path.name[1:] for path in (out / "stages").glob(".*")):  # of one that was stopped
        if begun.isdecimal():
            Run(out, out / "expanded").clear(int(begun))
    places = {"run": out, "expanded": out / "expanded", "tokens": out / "tokens", "korean": korean, "english": english}
    quoted = {name: json.dumps(str(place), ensure_ascii=False) for name, place in places.items()}
    config.write_text(marked(FIT.format(config=config, steps=STEPS, **quoted)), encoding="utf-8")
    _run("fit", config=config)
    # Before export, whose card says what was measured.
    _run("evaluate", run=out, bytes=EVALUATED, new_tokens=16, overwrite=True)
    _run("export", stage=out, out=f"{out}/export", name="kovocab-quickstart", overwrite=True)
    if corpus is None:  # of your own text nothing is held out
        _run("evaluate", corpus=f"{out}/held_out.txt", tokenizers=[base, f"{out}/export"])
    page = _page(out, overwrite=overwrite)
    by_hand = ["curate", f"{out}/tokenizer", "--words", words, "--base", base, "--corpus", korean]
    print(_report(out), *page, f"choose tokens by hand: kovocab {shlex.join(by_hand)}", sep="\n", flush=True)


def _run(verb: str, **settings: Any) -> None:
    """Print a command line and run it, as a process of its own, which ends with this one."""
    values = {
        key: value if isinstance(value, list) else [] if value is True else [value] for key, value in settings.items()
    }
    args = [verb, *(part for key, given in values.items() for part in (f"--{key}", *map(str, given)))]
    print(f"\n$ kovocab {shlex.join(args)}", flush=True)
    environment = os.environ | {PARENT: str(os.getpid())}
    if code := subprocess.run([sys.executable, "-m", "kovocab", *args], check=False, env=environment).returncode:
        raise KovocabError(f"`kovocab {verb}` failed with exit code {code}")


def _page(out: Path, *, overwrite: bool) -> list[str]:
    """Have the run's report written, and give the line that says where it is; or how to get it."""
    if not all(find_spec(package) for package in ("altair", "vl_convert")):
        return [f"for a report: pip install 'kovocab[report]', and kovocab report {out}"]
    page = out / "report.html"
    # That of an earlier walk is replaced, as all of it is; one that somebody changed when told so.
    _run("report", run=out, **({"overwrite": True} if overwrite or is_marked(page, "<!-- ", " -->") else {}))
    return [f"the report, open it: {page}"]


def _check_same(out: Path, settings: Record) -> None:
    """What an earlier walk left is of the same settings: of others its stages would be lost."""
    if not (out / "base" / RECORD).is_file():
        return
    record = read_record(out / "base", "quickstart")
    # A record without settings is of an earlier kovocab, and says in words which base it is of.
    before = record.get("settings") or {"base": next((b for b in BASES if b in str(record).lower()), None)}
    for name, now in settings.items():
        if before.get(name) != now:
            flag = f"--{name} {now}" if now is not None else f"no --{name}"
            was = f"--{name} {before[name]}" if before.get(name) is not None else f"no --{name}"
            raise ArtefactError(
                f"{out} is of an earlier quickstart with {was}, and this one has {flag}; wanted another --out, or "
                "--overwrite to replace it"
            )


def _make_base(folder: Path, settings: Record) -> None:
    save = BASES[settings["base"]]()
    with new_folder(folder) as beside:
        write_record(beside, {"verb": "quickstart", "base_model": save(beside), "settings": settings})


def _report(out: Path) -> str:
    """What was made, from the records that the artefacts carry."""
    stage = read_record(out / "export", "export")["model"]
    refined = stage["base"]["tokenizer"]
    last = refined["rounds"][-1]
    lines = [
        "",
        f"{quantity(refined['new_tokens'], 'new token')} in {quantity(len(refined['rounds']), 'round')}",
        f"tokens per word: {refined['base_tokens_per_word']:.2f} before, {last['tokens_per_word']:.2f} after",
        "",
        f"{'stage':>5} {'trains':<54} {'loss before':>11} {'after':>8} {'frozen, verified':>17} {'moved':>6}",
    ]
    for row in [*stage["earlier"], stage]:
        chosen = {key: row["settings"]["stage"][key] for key in ("input_rows", "output_rows", "layers")}
        trains = ", ".join(sorted(Stage(**chosen).blocks))
        loss, frozen = row["loss"], row["freezing"]
        lines.append(
            f"{row['stage']:>5} {trains:<54} {loss['val_before']:>11.3f} {loss['val']:>8.3f} "
            f"{frozen['frozen_elements']:>17,} {frozen['moved_parameters']:>6}"
        )
    lines += ["", *_bits(read_evaluation(out / EVALUATION)), f"the folder for the hub: {out / 'export'}"]
    return "\n".join(lines)


def _bits(evaluation: Record) -> list[str]:
    """What each source's text costs the base and what came of it, in bits per byte."""
    whole = [row for row in evaluation["figures"] if row["script"] == ALL and row["source"] != ALL]
    lines = []
    for source in dict.fromkeys(row["source"] for row in whole):
        before, *_, after = (row["bits_per_byte"] for row in whole if row["source"] == source)
        lines.append(f"bits per byte of held-out {source}: {before:.3f} before, {after:.3f} after")
    return lines
