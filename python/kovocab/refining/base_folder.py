"""What of a base's folder can be kept in a target, seen before long work."""

from pathlib import Path

from kovocab.building.promises import check_model
from kovocab.building.saving import matching_model, model_file
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


def check_base(base: Source) -> str | None:
    """See what a base's folder says of its tokens, and whether its `tokenizer.model` can go on with a target.

    Returns:
        Why a `tokenizer.model` beside `tokenizer.json` has to be left out of a target: it numbers its tokens or encodes
        a text otherwise. None where it has not, or there is none.

    Raises:
        TokenizerError: the folder's config.json has too few rows, or a special id that a new token would take.
    """
    if not isinstance(base, str | Path):
        return None
    tokenizer, source = load_tokenizer(base), local(base)
    if source.is_dir():
        _check_rows(tokenizer, source)
    found = model_file(source)
    if found is None or not (source / "tokenizer.json").is_file():  # one file cannot disagree with itself
        return None
    try:
        check_model(Reference(tokenizer), matching_model(tokenizer, found[1], None, found[0]), PROBES)
    except TokenizerError as error:
        return str(error)
    return None


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
