"""What of a base's folder can be kept in a target, seen before long work."""

from dataclasses import dataclass
from pathlib import Path

from kovocab.building.promises import check_model
from kovocab.building.ranked_model import is_sentencepiece_style, ranked_model
from kovocab.building.saving import ModelFrom, matching_model, model_file
from kovocab.errors import TokenizerError
from kovocab.expanding.special_ids import MODEL_FILES, taken_special_id
from kovocab.hub import local
from kovocab.tokenizer.companions import read_config
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import Source, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

PROBES = (
    "안녕하세요. 나무 그늘 tree 3.14",
    " 그늘 나무",
    "  두  칸   이상",
    "\t탭\n줄 🙂 漢字",
    "",
    " ",
    "the end.  ",
)
"""Texts on which a base's tokenizer.json and tokenizer.model may differ: what stands before the first word, mostly."""


NO_MODEL = "the base has none"
"""Why a `tokenizer.model` is made from the ranks, where nothing is wrong."""


@dataclass(frozen=True)
class ModelPlan:
    """Where a target's `tokenizer.model` is to come from.

    Attributes:
        source: The base's own, the ranks of `tokenizer.json`, or there is none.
        why: Why it is not the base's own; None where it is, and of a base of another style, which has none.
    """

    source: ModelFrom = "base"
    why: str | None = None

    @property
    def record(self) -> dict[str, str]:
        """What a record says of it."""
        key = "tokenizer_model_made" if self.source == "ranks" else "tokenizer_model_left_out"
        return {} if self.why is None else {key: self.why}

    @classmethod
    def of(cls, record: dict[str, str]) -> "ModelPlan":
        """What a record's is."""
        keys: dict[str, ModelFrom] = {"tokenizer_model_made": "ranks", "tokenizer_model_left_out": "nothing"}
        return next((cls(source, record[key]) for key, source in keys.items() if key in record), cls())


def check_base(base: Source, reference: Reference | None = None) -> ModelPlan:
    """See what a base's folder says of its tokens, and where a target's `tokenizer.model` can come from.

    The base's own goes on where it numbers its tokens and encodes texts as `tokenizer.json` does. Else one is made from
    the ranks, where it can say what they do. `reference` is the base as the library has it, if that is at hand.

    Raises:
        TokenizerError: the folder's config.json has too few rows, or a special id that a new token would take.
    """
    tokenizer, why = load_tokenizer(base), NO_MODEL
    if isinstance(base, str | Path):
        source = local(base)
        if source.is_dir():
            _check_rows(tokenizer, source)
        if (found := model_file(source)) is not None:
            if not (source / "tokenizer.json").is_file():  # one file cannot disagree with itself
                return ModelPlan()
            try:
                check_model(
                    reference or Reference(tokenizer), matching_model(tokenizer, found[1], None, found[0]), PROBES
                )
            except TokenizerError as error:
                why = str(error)
            else:
                return ModelPlan()
    return made_plan(tokenizer, why)


def made_plan(tokenizer: TokenizerJson, why: str) -> ModelPlan:
    """The plan where a `tokenizer.model` is to be made from the ranks of `tokenizer`, for the reason `why`."""
    if not is_sentencepiece_style(tokenizer):
        return ModelPlan("nothing")
    try:
        check_model(Reference(tokenizer), ranked_model(tokenizer), PROBES)
    except TokenizerError as error:
        return ModelPlan("nothing", f"{why}; {error}")
    return ModelPlan("ranks", why)


def _check_rows(tokenizer: TokenizerJson, folder: Path) -> None:
    """See that a base's config.json, where its folder has one, has a row a token, and no special id of another.

    Raises:
        TokenizerError: it has too few rows, or a special id would become a new token's.
    """
    for name in MODEL_FILES:
        config = read_config(folder / name)
        rows = config.get("vocab_size")
        if isinstance(rows, int) and rows < tokenizer.size:
            raise TokenizerError(
                f"{folder / name} has vocab_size {rows:,}, and the tokenizer {tokenizer.size:,} tokens, the last "
                f"{tokenizer.tokens[tokenizer.size - 1]!r}; wanted a row for each"
            )
        if fault := taken_special_id(config, tokenizer.size):
            raise TokenizerError(f"{folder / name} says {fault}")
