"""The verbs of the command line that are not Lightning's: each a function whose signature is its help.

What a verb needs is imported inside it, so that `kovocab count --help` waits for nothing. Each reads the artefact
on its left, writes its own, and prints what a person wants to know of it.

No function has a name that `kovocab` offers: jsonargparse looks each up there, and would load its room.
"""

from pathlib import Path
from typing import Any, Literal

from kovocab.errors import NotInstalled, UsageError, quantity
from kovocab.evaluating.settings import BYTES
from kovocab.machine.garbage import seldom_collected
from kovocab.refining.settings import RefineSettings
from kovocab.replacing.settings import ReplaceSettings
from kovocab.tokenizer.script import script_names

SKIPPED = 3
"""The exit code of a run that is done, but for what it was told to skip."""


def count_corpus(
    corpus: str | list[str],
    tokenizer: str,
    out: str,
    column: str = "text",
    encoding: Literal["utf-8", "cp949", "utf-16"] = "utf-8",
    normalize: Literal["nfc"] | None = None,
    deduplicate: bool = False,
    template: str | list[str] | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    on_error: Literal["fail", "skip"] = "fail",
    add_to: str | list[str] | None = None,
    tokens: str | None = None,
    report: str | None = None,
    log: Literal["text", "json"] = "text",
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    fingerprint: Literal["quick", "full"] = "quick",
    overwrite: bool = False,
) -> int:
    """Count the words of a corpus in one pass; every later count is derived from them.

    A run that was stopped goes on where it was: give the same command again.

    Args:
        corpus: File, folder, glob or URL, or a list of them: .txt, .jsonl, .json, .csv, .tsv (or
            these with .gz, .zst, .bz2 or .xz), .parquet, .arrow, .zip and .tar; see docs/corpora.md.
        tokenizer: The base: a tokenizer.json, a tokenizer.model, a folder with one, or a name on the hub. It
            decides where to cut.
        out: The Parquet file of word counts to write.
        column: Parquet column or JSON key that holds the text, or a path to it: data[].ko, say.
        encoding: Of text files; cp949 has EUC-KR in it.
        normalize: nfc makes syllables of conjoining jamo; by default text is read as it stands.
        deduplicate: Leave out documents that stood in the corpus before.
        template: In place of a column: {en} {ko}, say, with columns in braces; of several each row has one.
        threads: How many threads count; all processors, if not given.
        memory: How much memory to use, 4GB say; what is beyond goes to the disk beside out. By default half of it.
        on_error: What becomes of a broken line or file: fail, or skip it, list it, and end with exit code 3.
        add_to: Files of word counts that are counted too, yesterday's say.
        tokens: A Parquet file to write, if given: how often the base emits each of its tokens.
        report: The file that lists what was skipped, a JSON object a line; by default beside out, .skipped.jsonl.
        log: How progress is told where there is no terminal: as text, or as a JSON object a line.
        engine: What counts: this machine, or a cluster of Ray, where threads and memory are those of a task.
        address: Of the cluster, auto say; by default what RAY_ADDRESS names, or one on this machine alone.
        fingerprint: By what the record tells the corpus from another: quick, by size and a sample of each file, or
            full, by all that it holds, read once more before and after.
        overwrite: Replace word and token counts of other files, another tokenizer or settings.
    """
    from kovocab.artefact import check_file
    from kovocab.counting import count
    from kovocab.progress import all_as

    check_file(out)
    report = report or str(Path(out).with_suffix(".skipped.jsonl"))
    writes = [path for path in (out, tokens, report) if path is not None]
    if len({Path(path).absolute() for path in writes}) < len(writes):
        raise UsageError(f"out, tokens and report are {', '.join(writes)}; wanted different files")
    # With --add_to out, the same command given again would add twice.
    count.check_writes(out, corpus, tokenizer, add_to or (), tokens=tokens, report=report)
    with all_as(log):
        record, skipped = count.count_to(
            out, corpus, tokenizer, column=column, encoding=encoding, normalize=normalize,
            deduplicate=deduplicate, template=template, threads=threads, memory=memory, on_error=on_error,
            add_to=add_to or (), log_form=log, engine=engine, address=address, report=report,
            tokens=tokens, fingerprint=fingerprint, overwrite=overwrite,
        )  # fmt: skip
    documents, size = quantity(record["documents"], "document"), quantity(record["bytes"], "byte")
    print(f"{documents}, {size}: {_words(record)}\n{out}")
    if repeated := record.get("repeated"):
        left = f"{quantity(repeated['documents'], 'document')}, {quantity(repeated['bytes'], 'byte')}"
        print(f"left out, as they stood in the corpus before: {left}")
    if not skipped:
        return 0
    faults, lost = record["skipped"]["faults"], record["skipped"]["documents"]
    listed = "" if faults == len(skipped) else f", the first {len(skipped):,} listed"
    print(f"skipped: {quantity(faults, 'fault')}{listed}, {quantity(lost, 'document')} known to be lost\n{report}")
    return SKIPPED


def combine_counts(words: list[str], out: str, memory: int | str | None = None, overwrite: bool = False) -> None:
    """Add word counts: yesterday's and today's, or those of several machines.

    Args:
        words: The Parquet files of word counts, all made with one tokenizer.
        out: The Parquet file of word counts to write.
        memory: How much memory to use, 4GB say; what is beyond goes to the disk. By default half of it.
        overwrite: Replace word counts of other corpora.
    """
    from kovocab.counting import count

    record = count.combine_to(out, words, memory=memory, overwrite=overwrite)
    print(f"{_words(record)}\n{out}")


def _words(record: dict[str, Any]) -> str:
    """How many words a count came to: those that people see, if it is known, and those that were counted."""
    seen = record.get("words_between_space")
    between = "" if seen is None else f"{quantity(seen, 'word')} between white space; "
    return f"{between}cut into {quantity(record['words'], 'word')} to be counted, {record['distinct_words']:,} distinct"


def refine_words(
    words: str,
    base: str,
    out: str,
    decisions: str | None = None,
    memory: int | str | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> None:
    """Find the tokens worth having and build the target tokenizer: drop and add until nothing changes.

    Args:
        words: The Parquet file of word counts that `kovocab count` left.
        base: The base tokenizer: a tokenizer.json, a tokenizer.model, a folder with one, or a name on the hub.
        out: The folder to write: the target tokenizer, vocabulary.parquet, rounds.parquet,
            candidates.parquet, kovocab.json.
        decisions: CSV or Parquet with the columns token and decision (keep or drop), which every round honours.
        memory: How much memory to use, 4GB say; words that take more than a quarter of it stay in their file. By
            default half of it.
        overwrite: Replace what refine left in out of other words or settings.
    """
    chosen = RefineSettings(**settings)
    from kovocab.artefact import check_replaceable
    from kovocab.counting.tables import opened
    from kovocab.refining.candidates import Decisions
    from kovocab.refining.refine import refine
    from kovocab.refining.refined import check_out

    check_replaceable(out, "refine")
    decided = Decisions() if decisions is None else Decisions.load(decisions)
    counted = opened(words, memory)
    reads = [path for path in (words, base, decisions) if path is not None]
    check_out(out, counted, base, chosen, decided, overwrite=overwrite, reads=reads)
    with seldom_collected():
        refined = refine(counted, base, chosen, decided, memory)
        record = refined.save(out, overwrite=overwrite)
    checked = record["promises"]
    again = checked["base_tokens_reachable"]
    scripts = script_names(chosen.script)
    remade = f", and {quantity(again, 'token')} of the base by merges that are new" if again else ""
    print(refined.summary())
    print(
        f"promises kept: {quantity(checked['base_tokens'], 'base id')} as before; "
        f"{quantity(checked['texts_without_hangul'], 'text')} without {' or '.join(scripts)} encoded as before; "
        f"{quantity(checked['new_tokens'], 'new token')} reachable{remade}; "
        f"{quantity(checked['texts_with_hangul'], 'text')} with {' or '.join(scripts)} decoded as before\n{out}"
    )


def show_thresholds(
    words: str,
    base: str,
    out: str | None = None,
    memory: int | str | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> None:
    """Tell what each min_count would leave, new tokens and tokens per word, from one training of candidates.

    Args:
        words: The Parquet file of word counts that `kovocab count` left. `kovocab thresholds WORDS` will do.
        base: The base tokenizer: a tokenizer.json, a tokenizer.model, a folder with one, or a name on the hub.
        out: An SVG file of the curve to write, if given.
        memory: How much memory to use, 4GB say; words that take more than a quarter of it stay in their file. By
            default half of it.
        overwrite: Replace a curve of other words or settings, or one that was changed since.
    """
    from kovocab.curating.thresholds import table, thresholds

    with seldom_collected():
        found, suits = thresholds(words, base, RefineSettings(**settings), out, memory=memory, overwrite=overwrite)
    print(table(found, suits))
    if out is not None:
        print(out)


def curate_tokens(
    tokenizer: str,
    words: str,
    base: str,
    corpus: str | list[str] | None = None,
    column: str = "text",
    encoding: Literal["utf-8", "cp949", "utf-16"] = "utf-8",
    normalize: Literal["nfc"] | None = None,
    template: str | list[str] | None = None,
    decisions: str | None = None,
    language: Literal["en", "ko"] | None = None,
    port: int = 8417,
    open: bool = False,
) -> None:
    """Open a page, on this machine alone, on which tokens are kept and dropped by hand.

    Args:
        tokenizer: The folder that refine left. `kovocab curate TOKENIZER` will do.
        words: The word counts that it was refined from.
        base: The base tokenizer that it was refined for.
        corpus: What was counted, for sentences round a token and the sources it comes from: a file, folder or glob, or
            a list of them.
        column: Parquet column or JSON key that holds the text, or a path to it: data[].ko, say.
        encoding: Of text files; cp949 has EUC-KR in it.
        normalize: nfc makes syllables of conjoining jamo; by default text is read as it stands.
        template: In place of a column: {en} {ko}, say, with columns in braces; of several each row has one.
        decisions: The CSV that decisions are appended to, and that refine reads; by default decisions.csv beside the
            tokenizer's folder.
        language: Of the page: en, or ko; by default the browser's.
        port: Of 127.0.0.1; 0: any that is free. The same one again finds what an earlier page could not save.
        open: Have this machine's browser show the page.
    """
    try:
        from kovocab.curating.server import serve
        from kovocab.curating.session import Session
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "js_lib_tabulator"):
            raise
        wanted = "wanted what the page needs: pip install 'kovocab[curate]'"
        raise NotInstalled(f"{error.name} is not installed; {wanted}") from error
    from kovocab.corpus.settings import Reading
    from kovocab.curating.curation import Curation
    from kovocab.curating.decided import Decided

    reading = Reading(column, encoding, normalize, template=template)
    if corpus is None:
        _unused("says how a corpus is read; wanted --corpus with it", column=None if column == "text" else column,
                encoding=None if encoding == "utf-8" else encoding, normalize=normalize, template=template)  # fmt: skip

    folder = Path(tokenizer).absolute()
    path = folder.parent / "decisions.csv" if decisions is None else Path(decisions)
    new = not path.exists()
    decided = Decided(path)
    curation = Curation.open(folder, Path(words), base, corpus, reading)
    if new:  # what refine went by is where a person goes on
        honoured = curation.decisions
        decided.decide([*((token, "keep") for token in honoured.keep), *((token, "drop") for token in honoured.drop)])
    serve(Session(curation, decided, language, folder), port, open_=open)


def replace_tokens(
    tokenizer: str,
    words: str,
    base: str,
    keep: str | list[str],
    out: str,
    memory: int | str | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> None:
    """Put the new tokens at the ids of old ones that no text needs: a vocabulary of the base's size.

    Args:
        tokenizer: The folder that `kovocab refine` left.
        words: The word counts that it was refined from.
        base: The base tokenizer that it was refined for.
        keep: Word counts of texts that must not suffer, English and any other, counted for the same base.
        out: The folder to write: the target tokenizer, vocabulary.parquet, replaced.parquet, kovocab.json.
        memory: How much memory to use, 4GB say; words that take more than a quarter of it stay in their file. By
            default half of it.
        overwrite: Replace what replace left in out of another tokenizer, other texts or settings.
    """
    chosen = ReplaceSettings(**settings)
    from kovocab.artefact import check_replaceable
    from kovocab.replacing.replace import made_from_of, replace

    texts = _listed(keep)
    check_replaceable(out, "replace", reads=[tokenizer, words, base, *texts])
    check_replaceable(out, "replace", made_from_of(tokenizer, texts, chosen), overwrite=overwrite)
    with seldom_collected():
        replaced = replace(tokenizer, words, base, texts, chosen, memory)
        record = replaced.save(out, overwrite=overwrite)
    checked, scripts = record["promises"], script_names(record["tokenizer"]["settings"].get("script", "Hangul"))
    never = checked["base_tokens_unreachable"]
    dead = f" ({quantity(never, 'token')} of the base never were)" if never else ""
    print(replaced.summary())
    print(
        f"promises kept: {quantity(checked['kept_ids'], 'kept id')} as before; "
        f"{quantity(checked['texts_as_before'], 'text')} without {' or '.join(scripts)} encoded as before, and "
        f"{checked['texts_with_replaced_tokens']:,} that hold what went otherwise; "
        f"{quantity(checked['new_tokens'], 'new token')} and {checked['kept_tokens']:,} kept ones reachable{dead}; "
        f"{quantity(checked['texts_decoded'], 'text')} decoded as before\n{out}"
    )


def expand_model(
    model: str,
    tokenizer: str,
    out: str,
    pad_to_multiple_of: int | None = None,
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
    untie: bool = False,
    overwrite: bool = False,
) -> None:
    """Grow a causal language model to the target tokenizer: input rows by subword mean, output rows by first piece.

    Args:
        model: The base model: a folder or a hub id.
        tokenizer: The folder that `kovocab refine` left.
        out: The folder to write: a plain Hugging Face model with its tokenizer.
        pad_to_multiple_of: Round the number of rows up to a multiple of this.
        dtype: Of the weights written; auto keeps the base's.
        untie: Give tied output embeddings a matrix of their own, so that all stages can train them.
        overwrite: Replace what expand left in out of another model, tokenizer or settings.
    """
    from kovocab.expanding.expand import expand_folder
    from kovocab.expanding.row_counts import meaning

    _without_bars()
    record = expand_folder(
        model, Path(tokenizer), Path(out),
        pad_to_multiple_of=pad_to_multiple_of, dtype=dtype, untie=untie, overwrite=overwrite,
    )  # fmt: skip
    tied = (
        ", tied: of eeve's stages 1, 2 and 3 are one and the same, and so are 4 and 5; 3, 6 and 7 train, and with "
        "--untie true all seven do"
    )
    first = record["first_new_id"]
    where = "at the ids of old ones" if first is None else f"from id {first:,}"
    tied = tied if record["tied"] else ", untied" if record["untied"] else ""
    print(
        f"{quantity(record['new_tokens'], 'new token')} {where}: "
        f"{quantity(record['vocab_size'], 'row')}, "
        f"{record['dtype']}{tied}"
    )
    if (said := meaning(record["vocab_size"], record["architecture"])) is not None:
        print(said)
    print(out)


def export_stage(
    out: str,
    stage: str | None = None,
    run: str | None = None,
    name: str | None = None,
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
    license: str | None = None,
    base_model: str | None = None,
    datasets: str | list[str] | None = None,
    pad_to_multiple_of: int | None = None,
    tokenizer_class: Literal["PreTrainedTokenizerFast", "LlamaTokenizer"] = "PreTrainedTokenizerFast",
    overwrite: bool = False,
) -> None:
    """Write a folder for the hub: safetensors in the plain layout, tokenizer, generation config, model card.

    Args:
        out: The folder to write.
        stage: The folder of a finished stage; or its number, with run; or the folder of a run, as run.
        run: The folder of a run: its last stage is exported if all are finished, else the one that stage names.
        name: What the card calls the model; the folder's name, if not given.
        dtype: Of the weights written; auto keeps the stage's.
        license: The identifier of the model's licence on the card, as the hub has them: apache-2.0, say.
        base_model: The base's hub id on the card, if it was a folder that does not say.
        datasets: Hub ids on the card of what it was trained on, HAERAE-HUB/KOREAN-WEBTEXT say: one, or a list.
        pad_to_multiple_of: Round the number of rows up to a multiple of this; by default there are as many as tokens.
        tokenizer_class: What tokenizer_config.json names: LlamaTokenizer is for onnxruntime-extensions alone.
        overwrite: Replace what export left in out of another stage or with other settings; a README.md that was edited
            stays, and so does what else is in the folder.
    """
    if stage is None and run is None:
        raise UsageError("wanted --run RUN, or --stage with the folder of a stage")
    if run is not None and not (stage is None or stage.isdecimal()):
        raise UsageError(f"stage is {stage}, and run {run}; wanted the number of a stage of that run")
    from kovocab.exporting.export import export, stage_of

    folder = str(stage) if run is None else stage_of(run, None if stage is None else int(stage))
    _without_bars()
    record = export(
        folder, out, name=name, dtype=dtype, license=license, base_model=base_model, datasets=datasets,
        pad_to_multiple_of=pad_to_multiple_of, tokenizer_class=tokenizer_class, overwrite=overwrite,
    )  # fmt: skip
    needed = [f"reading it needs {record['reader']}"] if "reader" in record else []
    said = "\n".join(["", *needed, *record["notes"]])
    print(f"opened with AutoModelForCausalLM and AutoTokenizer: logits equal, generates{said}\n{out}")


def transfer_instruct(
    base: str,
    adapted: str,
    instruct: str,
    out: str,
    scale: float = 1.0,
    move_new_rows: bool = False,
    name: str | None = None,
    license: str | None = None,
    datasets: str | list[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Make an instruct model that speaks the new tokens, without training: adapted + scale * (instruct - base).

    Args:
        base: The base model: a folder or a hub id.
        adapted: What was adapted of it: a folder that export, fit or expand left, or another with more tokens.
        instruct: The base's instruct sibling: a folder or a hub id.
        out: The folder to write: a plain Hugging Face model with the sibling's chat template and generation config.
        scale: What the change is multiplied by; 0 gives the adapted model's weights.
        move_new_rows: Move rows of new tokens too, by the change of their base pieces' rows.
        name: What the card calls the model; the folder's name, if not given.
        license: The identifier of the model's licence on the card, as the hub has them: apache-2.0, say.
        datasets: Hub ids on the card of what the adapted model was trained on; by default those that its export names.
        overwrite: Replace what transfer left in out of other models or settings; a README.md that was edited stays, and
            so does what else is in the folder.
    """
    from kovocab.transferring.transfer import transfer

    _without_bars()
    record = transfer(
        base, adapted, instruct, out, scale=scale, move_new_rows=move_new_rows, name=name, license=license,
        datasets=datasets, overwrite=overwrite,
    )  # fmt: skip
    moved = record["ids_moved_by"]
    behind = f", behind {quantity(moved, 'chat token')} that the adapted model lacked" if moved else ""
    print(
        f"{quantity(record['new_tokens'], 'new token')} from id {record['first_new_id']:,}{behind}: "
        f"{quantity(record['vocab_size'], 'row')}"
    )
    print("\n".join([*record["notes"], out]))


def pack_corpus(
    corpus: str | list[str],
    tokenizer: str,
    out: str,
    name: str = "corpus",
    column: str = "text",
    encoding: Literal["utf-8", "cp949", "utf-16"] = "utf-8",
    normalize: Literal["nfc"] | None = None,
    deduplicate: bool = False,
    template: str | list[str] | None = None,
    length: int = 2048,
    validation_share: float = 0.01,
    special_tokens_in_text: Literal["text", "token"] = "text",
    format: Literal["kovocab", "megatron"] = "kovocab",
    threads: int | None = None,
    memory: int | str | None = None,
    fingerprint: Literal["quick", "full"] = "quick",
) -> None:
    """Encode a corpus into token files, as fit would: it finds them where its settings are the same.

    A run that was stopped goes on where it was: give the same command again.

    Args:
        corpus: File, folder, glob or URL, or a list of them, as for count.
        tokenizer: The target: a tokenizer.json or a folder with one; for fit the folder of the model that it trains.
        out: The folder of token files, which is data.tokens_dir to fit; a folder in it, named by all that the files
            depend on, is written.
        name: What fit calls the source.
        column: Parquet column or JSON key that holds the text, or a path to it: data[].ko, say.
        encoding: Of text files; cp949 has EUC-KR in it.
        normalize: nfc makes syllables of conjoining jamo; by default text is read as it stands.
        deduplicate: Leave out documents that stood in the corpus before.
        template: In place of a column: {en} {ko}, say, with columns in braces; of several each row has one.
        length: Tokens per block.
        validation_share: Share of the documents to hold out, by a hash of their text; at least one block.
        special_tokens_in_text: What a literal special token in a document is: text as any other, or that token.
        format: megatron writes an .idx beside each .bin, as Megatron-LM has it.
        threads: How many threads encode; all processors, if not given.
        memory: How much memory to use, 4GB say. By default half of it.
        fingerprint: By what the corpus is known again: quick, each file is read whole but once, until somebody touched
            it; full, every time.
    """
    from kovocab.corpus.contents import check_fingerprint
    from kovocab.packing.megatron import write_indexes
    from kovocab.packing.source import Packing, Source
    from kovocab.packing.token_files import TokenFiles

    check_fingerprint("fingerprint", fingerprint)
    source = Source(
        name,
        corpus,
        column=column,
        encoding=encoding,
        normalize=normalize,
        deduplicate=deduplicate,
        template=template,
    )
    packing = Packing(length, validation_share, special_tokens_in_text)
    files = TokenFiles(tokenizer, out, packing, fingerprint, threads=threads, memory=memory)
    files.check([source])
    packed = files.pack(source)
    if format == "megatron":
        write_indexes(packed)
    for part in ("train", "validation"):
        said = packed.record[part]
        print(
            f"{part}: {quantity(said['documents'], 'document')}, {quantity(said['tokens'], 'token')}, "
            f"{quantity(said['blocks'], 'block')} of {length:,}"
        )
    print(packed.folder)


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
        _unused(
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
        _unused(wanted, task_folder=task_folder, task_limit=task_limit, few_shot=few_shot)
    if corpus is None:
        _unused(
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

    _without_bars()
    how = Measuring(
        context=context,
        stride=stride,
        batch_tokens=batch_tokens,
        prompts=None if prompts is None else tuple(_listed(prompts)),
        new_tokens=new_tokens,
        device=device,
        unlearned=unlearned,
    )
    handed = None if tasks is None else Tasks(tuple(_listed(tasks)), task_folder, task_limit, few_shot)
    asked = Asked(run, _listed(models), base, expanded, export, corpus, out, handed, overwrite)
    reading = Reading(column, encoding, normalize, deduplicate, template)
    evaluation, written = evaluate(asked, Budget(documents, bytes), how, reading)
    print(table(evaluation))
    for path in written:
        print(path)


def _evaluate_tokenizers(tokenizers: str | list[str], corpus: str | list[str], **reading: Any) -> None:
    """Print tokenizers side by side."""
    from kovocab.evaluating.evaluate import evaluate

    found = evaluate(corpus, _listed(tokenizers), **reading)
    print(f"{'tokens':>14} {'tokens/word':>12} {'bytes/token':>12} {'1 token':>9} {'1 or 2':>9}  tokenizer")
    for row in found.iter_rows(named=True):
        # Of blank lines there is no ratio.
        ratios = ["-" if row[key] is None else f"{row[key]:.3f}" for key in ("tokens_per_word", "bytes_per_token")]
        shares = ["-" if row[key] is None else f"{row[key]:.1%}" for key in ("one_token", "two_tokens")]
        print(f"{row['tokens']:>14,} {ratios[0]:>12} {ratios[1]:>12} {shares[0]:>9} {shares[1]:>9}  {row['tokenizer']}")


def _unused(why: str, **settings: Any) -> None:
    """Refuse settings that would change nothing.

    Raises:
        UsageError: one of them was given.
    """
    for name, value in settings.items():
        if value is not None:
            raise UsageError(f"{name} {why}")


def _listed(given: str | list[str] | None) -> list[str]:
    """What may be one, as a list."""
    return [] if given is None else [given] if isinstance(given, str) else given


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


def sample(
    out: str,
    megabytes: float = 2.0,
    seed: int = 0,
    language: Literal["ko", "en", "mixed"] = "mixed",
) -> None:
    """Write sample text: generated Korean and English, the same on every machine, of any size.

    Args:
        out: The file to write: .txt, .jsonl or .parquet.
        megabytes: Size of the text, in millions of bytes of UTF-8.
        seed: Another seed, another text.
        language: ko, en, or mixed: four Korean documents to an English one.
    """
    if megabytes <= 0:
        raise UsageError(f"megabytes is {megabytes}; wanted more than 0")
    from kovocab.example.text import write_sample

    write_sample(out, int(megabytes * 1e6), seed=seed, language=language)
    print(out)


def quickstart(
    out: str | None = None,
    corpus: str | None = None,
    min_count: int | None = None,
    base: Literal["llama", "phi-2"] = "llama",
    overwrite: bool = False,
) -> None:
    """Walk the whole street on a small example, from raw text to a folder for the hub, in some minutes.

    Args:
        out: The folder for all artefacts; runs/quickstart, if not given, and runs/quickstart-phi-2 for that base.
        corpus: Your own text instead of the sample: a file, folder or glob.
        min_count: Threshold of refine; by default one that suits the size of the text.
        base: What is adapted: llama, with a real tokenizer of 32,000 tokens, or phi-2, byte-level, with a bias for each
            row and rows to spare; both small, with random weights.
        overwrite: Replace what a quickstart left in out of another base, corpus or min_count.
    """
    from kovocab.example.quickstart import walk

    place = out or ("runs/quickstart" if base == "llama" else f"runs/quickstart-{base}")
    walk(Path(place), corpus, min_count, base, overwrite=overwrite)


def _without_bars() -> None:
    """Silence the progress bars of transformers where there is no terminal to draw them on."""
    import sys

    if not sys.stderr.isatty():
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
