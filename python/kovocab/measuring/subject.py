"""What is measured: a model with its tokenizer, as a folder holds them, and what it is given before a text."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from kovocab.errors import ModelError, TokenizerError, UsageError
from kovocab.expanding.checks import check_tokenizer
from kovocab.expanding.expand import load_plain
from kovocab.expanding.split_rows import plain_embeddings
from kovocab.hub import local
from kovocab.packing.encoders import template_of
from kovocab.packing.encoding import eos_of
from kovocab.record import RECORD, check_files, read_record
from kovocab.tokenizer.companions import merged_config
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson


@dataclass(frozen=True)
class Named:
    """A model that is to be measured.

    Attributes:
        name: What the output calls it.
        kind: base, expanded, stage, export or model.
        folder: Where it is, or its name on the hub.
        stage: Its number.
    """

    name: str
    kind: str
    folder: str
    stage: int | None = None


@dataclass(frozen=True)
class Subject:
    """A model in memory.

    Attributes:
        name: What the output calls it.
        model: In eval mode.
        reference: Its tokenizer, to which the text of a special token is text.
        start: What is given before a text: what the template puts there, else bos, else eos.
        sha256: Of its tokenizer.json.
        first_new_id: Where new tokens begin; None where it is not known to have any.
    """

    name: str
    model: PreTrainedModel
    reference: Reference
    start: list[int]
    sha256: str
    first_new_id: int | None

    @property
    def rows(self) -> int:
        """Of its embeddings."""
        return plain_embeddings(self.model)[0].num_embeddings

    @property
    def tokens(self) -> int:
        """How many tokens the tokenizer has."""
        return self.reference.document.size

    @property
    def new_tokens(self) -> int:
        """How many of them are new."""
        return 0 if self.first_new_id is None else self.tokens - self.first_new_id

    @property
    def most(self) -> int | None:
        """How many tokens the model can read; None where its configuration does not say."""
        found = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    def continued(self, before: Sequence[int], ids: Sequence[int]) -> str:
        """The text of `ids` where they stand behind `before`."""
        head, whole = (self.reference.decode(list(part), special=False) for part in (before, [*before, *ids]))
        return whole.removeprefix(head.rstrip("\ufffd"))


def open_subject(named: Named, device: str) -> Subject:
    """Load a model with its tokenizer.

    Args:
        named: Which.
        device: Where to.

    Raises:
        ModelError: there is no model, it cannot be loaded, or its tokenizer has more tokens than it has rows.
        TokenizerError: the tokenizer cannot be read, or names no token that a text can begin behind.
        ArtefactError: what a verb of kovocab left there is not what is there now.
    """
    folder, document, start = check_subject(named)
    first_new_id = None
    if (folder / RECORD).is_file():
        record = read_record(folder)
        check_files(folder, record)
        if record["verb"] in ("expand", "fit"):
            check_tokenizer(folder, record, document)
        first_new_id = record.get("first_new_id")
    model = load_plain(str(folder))
    rows = plain_embeddings(model)[0].num_embeddings
    if document.size > rows:
        raise ModelError(
            f"{named.folder}: the tokenizer has {document.size:,} tokens and the model {rows:,} rows; wanted the "
            "model's own tokenizer"
        )
    sha256 = hashlib.sha256(document.text.encode()).hexdigest()
    reference = Reference(replace(document, encode_special_tokens=True))
    return Subject(named.name, model.to(device).eval(), reference, start, sha256, first_new_id)  # type: ignore[arg-type]


def has_new_tokens(named: Named) -> bool:
    """Whether a model's record says that some of its tokens are new; see `check_subject`, of which errors are too."""
    folder, document, _ = check_subject(named)
    first = read_record(folder).get("first_new_id") if (folder / RECORD).is_file() else None
    return named.kind != "base" and first is not None and first < document.size


def check_subject(named: Named) -> tuple[Path, TokenizerJson, list[int]]:
    """See, before others are measured, that a model is there with its tokenizer; weights are not opened.

    Returns:
        Its folder, its tokenizer, and what is given before a text.

    Raises:
        ModelError, TokenizerError: as `open_subject`.
    """
    folder = local(named.folder, weights=True)
    if not folder.exists():
        raise ModelError(
            f"there is no model at {named.folder}: no such folder; wanted one, or a name on the hub: user/name"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(f"{named.folder} is no folder of a model: it has no config.json; wanted a model, or a run")
    return folder, load_tokenizer(folder), start_of(folder)


def start_of(folder: str | Path) -> list[int]:
    """What a tokenizer has before a text: what its template puts there, else its bos, else its eos.

    Raises:
        TokenizerError: it has none of these.
    """
    folder = Path(folder)
    document = load_tokenizer(folder)
    try:
        before, _ = template_of(Reference(document))
    except TokenizerError:  # something else for each text
        before = []
    if before:
        return before
    config = merged_config(folder if folder.is_dir() else folder.parent)
    for name in ("bos_token", "eos_token"):
        said = config.get(name)
        token = said.get("content") if isinstance(said, dict) else said
        if isinstance(token, str) and token in document.ids:
            return [document.ids[token]]
    if (eos := eos_of(document, folder)) is None:
        raise TokenizerError(
            f"{folder} names no bos_token and no eos_token, so nothing stands before a text's first token; wanted "
            "one of them in tokenizer_config.json"
        )
    return [document.ids[eos]]


def device_of(said: str) -> str:
    """The device to measure on: as it was said, or, for auto, the GPU if there is one.

    Raises:
        UsageError: there is no such device.
    """
    if said == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.empty(0, device=said).is_meta:
            raise UsageError(f"device is {said}, which holds no numbers; wanted cpu, say")
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device is {said}, which is not here ({str(error).splitlines()[0]}); wanted cpu, say"
        ) from error
    return said
