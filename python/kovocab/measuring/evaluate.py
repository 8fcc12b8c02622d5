"""`kovocab evaluate`: a run's models, or any, on what the run holds out, or on any text; and what is kept of it."""

from dataclasses import dataclass
from pathlib import Path

from kovocab.artefact import check_file
from kovocab.corpus.settings import Reading
from kovocab.errors import UsageError
from kovocab.evaluating.evaluation import FILE, check_out, check_replaced, write_evaluation
from kovocab.evaluating.texts import Budget, choose
from kovocab.measuring.measure import Measuring, measure
from kovocab.measuring.runs import Models, models_of, texts_of
from kovocab.measuring.subject import Named, Subject
from kovocab.measuring.tasks import Tasks, chosen, run_tasks
from kovocab.measuring.trained import times_trained
from kovocab.measuring.unlearned import FILE as UNLEARNED
from kovocab.measuring.unlearned import Floats, save
from kovocab.ownership import parquet_of
from kovocab.reading.documents import batches
from kovocab.record import Record

CORPUS = "corpus"
"""What a text is called that is no run's source."""


@dataclass(frozen=True)
class Asked:
    """What is to be measured, on what, and where it goes.

    Attributes:
        run: The folder of a run.
        models: Further folders of models, or names on the hub.
        base: Where the run's base is, if its records do not say.
        expanded: Where the model is that it began with, if the run does not say.
        export: Where its export is, if not in it.
        corpus: Text, in place of what the run holds out.
        out: The file to write.
        tasks: What lm_eval is to run besides.
        overwrite: Whether an evaluation of other texts or models is replaced.
    """

    run: str | None = None
    models: list[str] | None = None
    base: str | None = None
    expanded: str | None = None
    export: str | None = None
    corpus: str | list[str] | None = None
    out: str | None = None
    tasks: Tasks | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse what names no file."""
        if self.out is not None and not Path(self.out).name:
            raise UsageError(f"out is {self.out!r}; wanted the name of a file to write")


def evaluate(asked: Asked, budget: Budget, how: Measuring, reading: Reading | None = None) -> tuple[Record, list[Path]]:
    """Measure, and write what came of it.

    Args:
        asked: What.
        budget: How much text of each source.
        how: How.
        reading: How documents are found in `asked.corpus`.

    Returns:
        The evaluation, as `docs/evaluating.md` has it, and the files that were written.

    Raises:
        UsageError: there is nothing to measure, or a setting that cannot be used.
        ArtefactError: the run is none, or the files cannot be written.
        CorpusError: there is no text.
        ModelError, TokenizerError: a model cannot be measured.
    """
    run = None if asked.run is None else Path(asked.run)
    if run is None and (said := [name for name in ("base", "expanded", "export") if getattr(asked, name) is not None]):
        raise UsageError(f"{said[0]} is a run's; wanted a run, or it among --models")
    of = Models(named=[], left_out=[], run={})
    if run is not None:
        of = models_of(run, asked.base, asked.expanded, asked.export)
    out = Path(asked.out) if asked.out is not None else None if run is None else run / FILE
    called = None if out is None or out.name == FILE else f"{out.name.removesuffix('.json')}.{UNLEARNED}"
    unlearned = None if out is None else out.with_name(called or UNLEARNED)
    if out is not None and unlearned is not None:
        check_out(out)
        check_file(unlearned, parquet_of("evaluate"), "table of unlearned tokens")
    if asked.corpus is not None:
        texts = [choose(batches(asked.corpus, reading or Reading()), CORPUS, budget)]
    elif run is not None:
        texts = texts_of(run, budget)
    else:
        raise UsageError("wanted --corpus with the text to measure models on")
    named = [*of["named"], *(Named(path, "model", path) for path in asked.models or [])]
    _check_named(named)
    if out is not None and not asked.overwrite:
        hashes = {text.source: text.sha256 for text in texts}
        check_replaced(
            out,
            hashes,
            [each.name for each in named],
            tasks=asked.tasks is not None,
            unlearned=how.unlearned,
            settings={"context": how.context, "stride": how.stride},
        )

    def trained(each: Named, subject: Subject) -> Floats | None:
        stage = each.kind == "stage" and run is not None
        return times_trained(run, Path(each.folder), subject.tokens) if stage and run is not None else None

    evaluation, table = measure(
        named, texts, budget, how, trained=trained, run=of["run"] or None, left_out=of["left_out"]
    )  # fmt: skip
    if asked.tasks is not None:
        evaluation["tasks"] = run_tasks(chosen(named), asked.tasks, evaluation["device"])
    if out is None or unlearned is None:
        if evaluation["unlearned"] is not None:
            evaluation["unlearned"]["file"] = None
        return evaluation, []
    written = [out]
    if table is not None:
        evaluation["unlearned"]["file"] = unlearned.name
        save(table[0], unlearned, table[1])
        written.append(unlearned)
    else:
        unlearned.unlink(missing_ok=True)  # an earlier one, of other models
    write_evaluation(out, evaluation)
    return evaluation, written


def _check_named(named: list[Named]) -> None:
    names = [each.name for each in named]
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise UsageError(f"models: {twice[0]} is there twice; wanted each once")
