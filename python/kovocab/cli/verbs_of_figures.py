"""The verbs that measure and tell: each a function whose signature is its help, as in `verbs_of_text`."""

from typing import Any, Literal

from kovocab.cli.verbs_of_models import without_bars
from kovocab.errors import UsageError, unused
from kovocab.evaluating.settings import BYTES
from kovocab.flags.lists import listed


def evaluate_models(
    run: str | None = None,
    models: str | list[str] | None = None,
    tokenizers: str | list[str] | None = None,
    corpus: str | list[str] | None = None,
    column: str = "text",
    encoding: Literal["utf-8", "cp949", "utf-16"] = "utf-8",
    normalize: Literal["nfc"] | None = None,
    deduplicate: bool = False,
    template: str | list[str] | None = None,
    base: str | None = None,
    expanded: str | None = None,
    export: str | None = None,
    documents: int | None = None,
    bytes: int | None = BYTES,
    prompts: str | list[str] | None = None,
    new_tokens: int = 32,
    context: int | None = None,
    stride: int | None = None,
    batch_tokens: int = 8192,
    device: str = "auto",
    unlearned: bool = True,
    tasks: str | list[str] | None = None,
    task_folder: str | None = None,
    task_limit: int | None = None,
    few_shot: int | None = None,
    out: str | None = None,
    overwrite: bool = False,
) -> None:
    """Measure a run's models, any models, or tokenizers alone, on held-out text: bits per byte, tokens per word.

    Args:
        run: The folder of a run: its base, expanded model, finished stages and export are measured, and the result
            is kept in it. `kovocab evaluate RUN` will do.
        models: Folders of models, or names on the hub, beside the run's or without a run.
        tokenizers: In place of models, tokenizers alone, on all of the corpus: each a tokenizer.json, a
            tokenizer.model, a folder with one, or a name on the hub.
        corpus: File, folder or glob, or a list of them; by default what the run's sources hold out.
        column: Parquet column or JSON key that holds the text, or a path to it: data[].ko, say.
        encoding: Of text files; cp949 has EUC-KR in it.
        normalize: nfc makes syllables of conjoining jamo; by default text is read as it stands.
        deduplicate: Leave out documents that stood in the corpus before.
        template: In place of a column: {en} {ko}, say, with columns in braces; of several each row has one.
        base: Where the run's base is; by default what the expanded model's record says.
        expanded: Where the model is that the run began with; by default what the run noted.
        export: Where the run's export is; by default the folder export in it.
        documents: How many documents of each source to measure models on; the same for all, chosen by their hash.
        bytes: How many bytes of each source, but for one document; null: all.
        prompts: Texts that each model goes on from; by default the beginning of a document of each source.
        new_tokens: How many tokens to go on for; 0: no samples.
        context: The most tokens that a model is given; by default what it can read, and 2,048 at most.
        stride: How many tokens each further window of a longer document adds; by default half of the context.
        batch_tokens: Tokens that are read at once.
        device: Where: cpu, or cuda; auto takes a GPU if there is one.
        unlearned: Look for new tokens that the last stage has not learned.
        tasks: Tasks or groups of lm_eval, kobest say, to run on a run's base and its export, or on models.
        task_folder: Where more tasks are defined, as lm_eval has them.
        task_limit: How many documents of each task; by default all.
        few_shot: How many examples stand before each; by default as the task says.
        out: The JSON file to write; by default evaluation.json in the run's folder, and none without a run.
        overwrite: Replace an evaluation of another text, or of models or with tasks that are not asked for now.
    """
    if tokenizers is not None:
        if run is not None or models is not None:
            raise UsageError("tokenizers are measured without models; wanted --tokenizers, or a run or --models")
        if corpus is None:
            raise UsageError("wanted --corpus with the text to measure tokenizers on")
        if out is not None:
            raise UsageError("out is for models; of tokenizers a table is printed")
        unused(
            "is for models, and tokenizers are measured alone; wanted --models, or no such setting",
            base=base, expanded=expanded, export=export, documents=documents, bytes=None if bytes == BYTES else bytes,
            new_tokens=None if new_tokens == 32 else new_tokens, prompts=prompts, context=context,
            stride=stride, batch_tokens=None if batch_tokens == 8192 else batch_tokens,
            device=None if device == "auto" else device, unlearned=None if unlearned else "false",
            tasks=tasks, task_folder=task_folder, task_limit=task_limit, few_shot=few_shot,
        )  # fmt: skip
        _evaluate_tokenizers(
            tokenizers, corpus, column=column, encoding=encoding, normalize=normalize, deduplicate=deduplicate,
            template=template,
        )  # fmt: skip
        return
    if run is None and models is None:
        raise UsageError("wanted the folder of a run (kovocab evaluate RUN), --models, or --tokenizers")
    if run is None and corpus is None:
        raise UsageError("wanted --corpus with the text to measure models on")
    if tasks is None:
        wanted = "is for tasks of lm_eval; wanted --tasks with it"
        unused(wanted, task_folder=task_folder, task_limit=task_limit, few_shot=few_shot)
    if corpus is None:
        unused(
            "says how a corpus is read, and what a run holds out is read as it was packed; wanted --corpus with it",
            column=None if column == "text" else column, encoding=None if encoding == "utf-8" else encoding,
            normalize=normalize, deduplicate=deduplicate or None, template=template,
        )  # fmt: skip
    from kovocab.corpus.settings import Reading
    from kovocab.evaluating.evaluation import table
    from kovocab.evaluating.texts import Budget
    from kovocab.measuring.evaluate import Asked, evaluate
    from kovocab.measuring.measure import Measuring
    from kovocab.measuring.tasks import Tasks

    without_bars()
    how = Measuring(
        context=context,
        stride=stride,
        batch_tokens=batch_tokens,
        prompts=None if prompts is None else tuple(listed(prompts)),
        new_tokens=new_tokens,
        device=device,
        unlearned=unlearned,
    )
    handed = None if tasks is None else Tasks(tuple(listed(tasks)), task_folder, task_limit, few_shot)
    asked = Asked(run, listed(models), base, expanded, export, corpus, out, handed, overwrite)
    reading = Reading(column, encoding, normalize, deduplicate, template)
    evaluation, written = evaluate(asked, Budget(documents, bytes), how, reading)
    print(table(evaluation))
    for path in written:
        print(path)


def _evaluate_tokenizers(tokenizers: str | list[str], corpus: str | list[str], **reading: Any) -> None:
    """Print tokenizers side by side."""
    from kovocab.evaluating.evaluate import evaluate

    found = evaluate(corpus, listed(tokenizers), **reading)
    print(f"{'tokens':>14} {'tokens/word':>12} {'bytes/token':>12} {'1 token':>9} {'1 or 2':>9}  tokenizer")
    for row in found.iter_rows(named=True):
        # Of blank lines there is no ratio.
        ratios = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("tokens_per_word", "bytes_per_token")]
        shares = ["-" if row[key] is None else f"{row[key]:.1%}" for key in ("one_token", "two_tokens")]
        print(f"{row['tokens']:>14,} {ratios[0]:>12} {ratios[1]:>12} {shares[0]:>9} {shares[1]:>9}  {row['tokenizer']}")


def report_run(
    run: str,
    language: Literal["en", "ko"] = "en",
    out: str | None = None,
    base: str | None = None,
    expanded: str | None = None,
    tokenizer: str | None = None,
    words: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write one HTML page of a run: what it recorded, and what evaluate measured; also of a run half done.

    Args:
        run: The folder of a run. `kovocab report RUN` will do.
        language: Of the page: en, or ko.
        out: The file to write; by default report.html in the run's folder.
        base: Where the base's tokenizer is; by default what the expanded model's record says.
        expanded: Where the model is that the run began with; by default what the run noted.
        tokenizer: The folder that refine left; by default tokenizer in the run's folder, or beside the expanded model.
        words: The word counts that it was refined from; by default words.parquet in the same places.
        overwrite: Replace a report of another run or in another language, or one that was changed since.
    """
    from kovocab.reporting.gathered import Places
    from kovocab.reporting.report import report

    print(report(run, out, language=language, places=Places(base, expanded, tokenizer, words), overwrite=overwrite))
