"""The verbs of text: each a function whose signature is its help.

What a verb needs is imported inside it, so that `kovocab count --help` waits for nothing. Each reads the artefact
on its left, writes its own, and prints what a person wants to know of it.

No function has a name that `kovocab` offers: jsonargparse looks each up there, and would load its room.
"""

from pathlib import Path
from typing import Any, Literal

from kovocab.errors import UsageError, quantity

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
    report = report or str(count.report_beside(out))
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
