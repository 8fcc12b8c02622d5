"""What can be told of a run's data before any of it is packed, which may take hours."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from kovocab.data.mix import Mixture
from kovocab.errors import CorpusError, UsageError
from kovocab.packing.source import Source
from kovocab.reading.documents import local_files
from kovocab.record import MODEL_VERBS, RECORD, Record, check_block, read_record


def forecast(data: Mixture, model: str | Path, new_tokens: int = 0) -> list[str]:
    """What is likely not as it was meant, a line each.

    Args:
        data: After `plan`.
        model: What is trained; its record, if it has one, says what its tokens were chosen from, and how many are new.
        new_tokens: How many are new in a model without a record.

    Raises:
        UsageError: a `min_seen` is certain not to fit.
        ArtefactError: the record is damaged.
    """
    made = _made(Path(model))
    said = [*_biases(data, made.get("new_tokens", new_tokens))]
    return [*said, *_read_otherwise(data.sources, made.get("tokenizer", made).get("words", {}))]


def _biases(data: Mixture, new_tokens: int) -> Iterator[str]:
    """Those that ask for more new tokens than the run has tokens; which are in the corpus is not known yet."""
    for name, (bias, blocks) in data.biases().items():
        wanted, budget = bias.min_seen or 0, blocks * data.packing.length
        each = (
            f"data.bias: {name} cannot show each new token {wanted:,} times in the {budget:,} tokens that the run takes"
        )
        most = budget // max(1, new_tokens)
        fits = f"wanted min_seen of at most {most:,}, a longer run, or none" if most else "wanted a longer run, or none"
        if wanted > budget:
            raise UsageError(f"{each} from it, nor even one of them; {fits}")
        if wanted * new_tokens > budget:
            yield f"{each} from it, if most of the {new_tokens:,} are there as often as that; {fits}"


def _read_otherwise(sources: Sequence[Source], words: Record) -> Iterator[str]:
    """Sources that were counted too, when the tokens were chosen, and are now read in another way."""
    corpora = list(_corpora(words.get("corpus", {})))
    for source in sources:
        here = _files(source)
        for corpus in corpora:
            counted = {(PurePosixPath(file["name"]).name, file["bytes"]) for file in corpus["files"]}
            then, now = ({**_DEFAULTS, **said} for said in (corpus, source.reading.recorded()))
            others = [key for key in _DEFAULTS if then[key] != now[key]]
            if here & counted and others:
                before, after = (" and ".join(_said(key, how[key]) for key in others) for how in (then, now))
                yield f"data.sources: {source.name} is read {after}; its text was read {before} to choose the tokens"
                break


_DEFAULTS = {"column": "text", "encoding": "utf-8", "normalize": None, "deduplicate": False, "template": None}
"""What says how a corpus is read, as records have it, which leave out what is so by default."""


def _made(folder: Path) -> Record:
    """What `expand`, or `refine`, said of what a model was made from; nothing where it is of neither."""
    if not (folder / RECORD).is_file() or (verb := read_record(folder)["verb"]) not in ("refine", *MODEL_VERBS):
        return {}
    record = read_record(folder, verb)
    check_block(folder, record)
    while record["verb"] == "fit":
        record = record["base"]
    return record


def _corpora(corpus: Record) -> Iterator[Record]:
    """The corpora of files in it: words of several counts have several."""
    for part in corpus.get("parts") or [corpus]:
        if part.get("parts"):
            yield from _corpora(part)
        elif part.get("files"):
            yield part


def _files(source: Source) -> set[tuple[str, int]]:
    """The files of a source that are here, by name and size: of all that a count may have said, both are there."""
    try:
        return {(path.name, path.stat().st_size) for path in local_files(source.corpus)}
    except (CorpusError, OSError):  # a plan may be made elsewhere
        return set()


def _said(name: str, value: object) -> str:
    return f"without {name}" if value in (None, False) else f"with {name}" if value is True else f"with {name} {value}"
