"""The verbs of tokens: each a function whose signature is its help, as in `verbs_of_text`."""

from pathlib import Path
from typing import Any, Literal

from kovocab.errors import NotInstalled, quantity, unused
from kovocab.flags.lists import listed
from kovocab.machine.garbage import seldom_collected
from kovocab.refining.settings import RefineSettings
from kovocab.replacing.settings import ReplaceSettings
from kovocab.tokenizer.script import script_names


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
        unused("says how a corpus is read; wanted --corpus with it", column=None if column == "text" else column,
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

    texts = listed(keep)
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
