"""The form of each verb's record: which keys it has, of which types, in which ranges.

What another version of kovocab writes beside these keys may be anything. What is looked up in a record, wherever, has
its key here, so a record that has this form breaks no look-up.
"""

import json
import re
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import msgspec
from msgspec import Meta

from kovocab.stages import LabelMode, Rows

Natural = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Positive = Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
Sum = Annotated[int, Meta(ge=0)]
"""Of counts, which are u64."""
Size = Annotated[int, Meta(ge=0, le=1 << 32)]
"""Of a vocabulary, whose ids are u32."""
Number = Annotated[float, Meta(ge=-1e308, le=1e308)]
"""Neither NaN nor infinite."""

Name = Annotated[str, Meta(pattern=r"(?s)^(?!/|(?:.*/)?\.{0,2}(?:/|$))[^\x00\ud800-\udc7f\udd00-\udfff]+\Z")]
"""Of a file below a folder: it leads nowhere else."""
Identity = Annotated[str, Meta(pattern=r"^[0-9]+ [0-9a-f]{32}\Z")]
"""What identifies a file, see `ownership.identity`."""


class Verb(TypedDict):
    """What every record has."""

    verb: Annotated[str, Meta(pattern=r"^[a-z_ ]+\Z")]  # which messages say: on one line


class Made(Verb):
    """What is looked for in the record of whatever verb."""

    first_new_id: NotRequired[Size | None]
    files: NotRequired[dict[Name, Identity]]


class CorpusFile(TypedDict):
    """A file of a corpus, beside what identifies it."""

    name: str
    bytes: Natural


class Corpus(TypedDict):
    """What was read: files, text in memory, or what several counts had read."""

    kind: str
    bytes: NotRequired[Natural]
    files: NotRequired[list[CorpusFile]]
    parts: NotRequired[list["Corpus"]]


class Skipped(TypedDict):
    """What of a corpus could not be read."""

    faults: Natural
    documents: Natural


class Repeated(TypedDict):
    """What stood in a corpus before, and was left out."""

    documents: Natural
    bytes: Natural


class _Noted(TypedDict, total=False):
    words_between_space: Natural
    hangul: dict[str, Natural]
    special_tokens: dict[str, Natural]
    skipped: Skipped
    repeated: Repeated


class Words(_Noted, total=False):
    """What refine says of the words that it was given, which may be a frame that nothing is recorded of."""

    verb: Required[Literal["count"]]
    corpus: Required[Corpus]
    documents: Natural
    bytes: Natural
    words: Sum
    distinct_words: Natural


class WordCounts(_Noted):
    """A file of word counts."""

    verb: Literal["count"]
    corpus: Corpus
    documents: Natural
    bytes: Natural
    words: Sum
    distinct_words: Natural
    tokenizer: str
    cut: Annotated[list[bool], Meta(min_length=3, max_length=3)]


class RefineRound(TypedDict):
    """A round of refine."""

    round: Natural
    size: Size
    unreachable: Natural
    dropped: Natural
    added: Natural
    tokens_per_word: Number | None
    bytes_per_token: Number | None


class Decided(TypedDict, total=False):
    """What was kept and dropped by hand."""

    keep: list[str]
    drop: list[str]


class RefineSettings(TypedDict):
    """What of refine's settings is looked at again; all of them are told."""

    script: NotRequired[str | list[str]]


class Refine(TypedDict):
    """A folder that refine left."""

    verb: Literal["refine"]
    first_new_id: Size
    new_tokens: Size
    scaffolds: NotRequired[Size]
    candidates: NotRequired[Size]
    settings: RefineSettings
    decisions: NotRequired[Decided]
    base_tokens_per_word: Number | None
    rounds: Annotated[list[RefineRound], Meta(min_length=1)]
    words: Words
    base_tokenizer: NotRequired[str]
    target_tokenizer: NotRequired[str]
    tokenizer_model_left_out: NotRequired[str]
    tokenizer_model_made: NotRequired[str]
    files: NotRequired[dict[Name, Identity]]


class ReplacedText(TypedDict):
    """What a text is by the base, with new tokens appended, and with them at old ids."""

    name: str
    base_tokens_gone: Sum
    base_tokens: Sum
    appended_tokens: Sum
    tokens: Sum
    base_tokens_per_word: Number | None
    appended_tokens_per_word: Number | None
    tokens_per_word: Number | None
    loss: Number | None


class Refined(TypedDict):
    """What was replaced: a record of its own."""

    verb: Literal["refine"]


class Replace(TypedDict):
    """A folder that replace left."""

    verb: Literal["replace"]
    size: Size
    new_tokens: Size
    tokenizer: Refined
    base_tokenizer: str
    target_tokenizer: str
    texts: list[ReplacedText]
    tokenizer_model_left_out: NotRequired[str]
    tokenizer_model_made: NotRequired[str]
    files: NotRequired[dict[Name, Identity]]


class Target(TypedDict):
    """What a model was expanded to: a record of its own, of either form."""

    verb: Literal["refine", "replace"]


class Initialisation(TypedDict, total=False):
    """How new rows were made."""

    input: str
    output: str


class Expand(TypedDict):
    """A folder that expand left."""

    verb: Literal["expand"]
    first_new_id: Size | None  # of what replace left: new tokens are at ids of old ones
    vocab_size: Size
    new_tokens: Size
    tokenizer: Target
    base_model: NotRequired[str]
    base_name: NotRequired[str | None]
    tied: NotRequired[bool]
    untied: NotRequired[bool]
    dtype: NotRequired[str]
    initialisation: NotRequired[Initialisation]
    files: NotRequired[dict[Name, Identity]]


class Part(TypedDict):
    """What of a source is trained on, or held out."""

    documents: Natural
    tokens: Natural
    words: NotRequired[Natural | None]
    text_tokens: NotRequired[Natural | None]
    base_text_tokens: NotRequired[Natural | None]


class Source(TypedDict):
    """A source, as a stage says of it."""

    name: str
    share: Number
    corpus: Corpus
    train: Part
    validation: Part


class Data(TypedDict):
    """What a stage was trained on."""

    length: Positive
    sources: Annotated[list[Source], Meta(min_length=1)]


class StageSettings(TypedDict):
    """What of a stage's settings is looked at again; all of them are compared when a run goes on."""

    input_rows: Rows
    output_rows: Rows
    layers: bool
    lr: Number
    label_mode: NotRequired[LabelMode]


class Settings(TypedDict):
    """A stage's settings, and the run's; also in the folder of a stage in progress, and in its checkpoints."""

    stage: StageSettings


class Loss(TypedDict):
    """A stage's losses; none where nothing was measured."""

    train: Number | None
    val_before: Number | None
    val: Number | None
    val_merged: NotRequired[Number | None]


class Freezing(TypedDict):
    """What was compared at a stage's end."""

    frozen_parameters: Natural
    frozen_elements: Natural
    verified_parameters: Natural
    moved_parameters: Natural


class LoRA(TypedDict):
    """The settings of QLoRA that are told."""

    rank: Positive
    alpha: Number


class Quantized(TypedDict):
    """How layers were trained in 4 bits."""

    settings: LoRA


class ServedSource(TypedDict):
    """What a stage took from a source."""

    blocks: Natural
    tokens: Natural
    share: Number
    epochs: Number


class Served(TypedDict):
    """What a stage took from each, and between which positions in the order of blocks."""

    begin: Natural
    end: Natural
    sources: dict[str, ServedSource]


class _Trained(TypedDict):
    stage: Positive
    settings: Settings
    loss: Loss
    steps: Natural
    tokens: Natural
    served: NotRequired[Served]
    freezing: Freezing
    qlora: NotRequired[Quantized]
    evaluation: NotRequired["Evaluated"]


class Base(TypedDict):
    """What a run began with: a record of its own, of either form."""

    verb: Literal["expand", "fit"]


class Fit(_Trained):
    """A finished stage."""

    verb: Literal["fit"]
    of: Positive
    first_new_id: Size
    vocab_size: Size
    data: Data
    versions: dict[str, str]
    earlier: list[_Trained]
    base: Base
    files: NotRequired[dict[Name, Identity]]


class Stage(TypedDict):
    """What was exported: a record of its own."""

    verb: Literal["fit"]


class Export(TypedDict):
    """A folder for the hub."""

    verb: Literal["export"]
    model: Stage
    files: NotRequired[dict[Name, Identity]]


class Packed(Part):
    """What of a source was packed."""

    blocks: Positive
    dropped_tokens: Natural


class Pack(TypedDict):
    """The token files of a source."""

    verb: Literal["pack"]
    corpus: Corpus
    tokenizer: str
    eos: str | None
    length: Annotated[int, Meta(ge=2, le=(1 << 63) - 1)]
    special_tokens_in_text: Literal["text", "token"]
    dtype: Literal["<u2", "<u4"]
    documents_with_special_tokens: Natural
    train: Packed
    validation: Packed
    files: dict[Name, Identity]


class Bias(TypedDict):
    """In which order a source is read that is biased towards new tokens."""

    verb: Literal["bias"]
    of: Name
    n: Natural
    most: Positive
    budget: Natural
    read: Positive
    level: Number
    passes_without: Number
    highest: Natural
    files: dict[Name, Identity]


class Contexts(TypedDict):
    """The contexts that distillation reads."""

    verb: Literal["contexts"]
    of: list[Name]
    files: dict[Name, Identity]


class EvaluatedSource(TypedDict):
    """What a stage was measured to give a source's held-out text."""

    documents: Natural
    bytes: Positive
    tokens: Natural
    nats: Number
    bits_per_byte: Number


class Evaluated(TypedDict):
    """What was measured at a stage's end."""

    documents: Positive | None
    bytes: Positive | None
    context: Positive
    stride: Positive
    sources: dict[str, EvaluatedSource]


class CountedFile(TypedDict):
    """How far a file was counted."""

    documents: Natural
    bytes: Natural
    faults: Natural
    done: bool


class CorpusFault(TypedDict):
    """What of a file was skipped."""

    file: str
    place: str
    what: str
    documents: Natural | None


class Counted(TypedDict):
    """How far a corpus was counted."""

    files: dict[str, CountedFile]
    skipped: list[CorpusFault]
    faults: Natural
    lost: Natural
    words_between_space: Natural
    repeated: NotRequired[Natural]
    repeated_bytes: NotRequired[Natural]


class SpilledPart(TypedDict):
    """Words on disk: how many bytes of the file count, and their checksum."""

    bytes: Natural
    crc32: Annotated[int, Meta(ge=0, lt=1 << 32)]


class Counting(TypedDict):
    """What is kept of a count that is under way; its identity is compared, under the seal."""

    seal: str
    identity: dict[str, Any]
    parts: dict[Annotated[str, Meta(pattern=r"^([0-9]{3}\.words|documents\.seen)\Z")], SpilledPart]
    done: Counted


FORMS: dict[str, Any] = {
    "count": WordCounts,
    "refine": Refine,
    "replace": Replace,
    "expand": Expand,
    "fit": Fit,
    "export": Export,
    "pack": Pack,
    "bias": Bias,
    "contexts": Contexts,
}
_OF_ITS_OWN = {"replace": "tokenizer", "expand": "tokenizer", "fit": "base", "export": "model"}
"""The key of the record that a verb's record carries, where that is checked by its own verb."""


def fault(record: Any, form: Any) -> str | None:
    """Say what of `record` has not this form: which key, what it is and what was wanted; None where it has.

    Args:
        record: As read from JSON.
        form: A verb, whose record is checked with those that it carries, or a class of this file.
    """
    place = ""
    while isinstance(form, str):
        if said := _fault(record, FORMS.get(form, Made), place):
            return said
        if (key := _OF_ITS_OWN.get(form)) is None:
            return None
        record, place = record[key], f"{place}{key}."
        form = record["verb"]
    return _fault(record, form, place)


def short(value: Any) -> str:
    """A value as JSON, shortened to what fits a message; half a character as its escape."""
    text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", errors="backslashreplace").decode()
    return text if len(text) < 80 else text[:77] + "..."


def _fault(record: Any, form: Any, place: str) -> str | None:
    try:
        msgspec.convert(record, form)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at ")
    except UnicodeEncodeError as error:  # of a key with half a character
        return f"a key is no text ({error.reason})"
    else:
        return None
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", path)
    found = record
    for key, index in steps:
        if index == "...":  # some value of a table: which one it does not say
            break
        found = found[int(index)] if index else found[key]
    where = place + "".join(f"[{index}]" if index else f".{key}" for key, index in steps).removeprefix(".")
    if missing := re.search("required field `(.+)`", said):
        return f"there is no {where.rstrip('.')}.{missing[1]}".replace("no .", "no ")
    wanted = said.partition(", got")[0]
    for spelled, plain in _PLAIN.items():
        wanted = wanted.replace(spelled, plain)
    return f"{where.rstrip('.') or 'it'} is {short(found)}; wanted {wanted}"


_PLAIN = {
    "Expected ": "",
    "`int`": "a whole number",
    "`float`": "a number",
    "`float | null`": "a number or null",
    "`int | null`": "a whole number or null",
    "`str`": "text",
    "`str | null`": "text or null",
    "`bool`": "true or false",
    "`object`": "an object",
    "`array`": "a list",
    "Invalid enum value": "another value than",
}
