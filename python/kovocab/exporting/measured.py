"""What the card says of a stage that was measured: two rows, and a sentence in the tokens of base and target."""

import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from kovocab.errors import ArtefactError
from kovocab.evaluating.compared import ENGLISH, KOREAN, Compared, Piece, base_tokenizer, compared, visible
from kovocab.evaluating.evaluation import ALL, FILE, read_evaluation
from kovocab.exporting.languages import Scripts
from kovocab.exporting.tables import table
from kovocab.record import Record, expanded_of
from kovocab.tokenizer.tokenizer_json import TokenizerJson

log = logging.getLogger(__name__)

_AGREES = 0.02
"""How far bits per byte may be from what the stage's record says, on the same text: other devices, other dtypes."""


def section(folder: Path, stage: Record, target: TokenizerJson) -> str:
    """The section on the stage in a run's folder; empty where the run was not measured, or another training of it was.

    Args:
        folder: The stage's.
        stage: Its record.
        target: Its tokenizer.
    """
    path = folder.resolve().parent.parent / FILE
    if not path.is_file():
        return ""
    try:
        figures = figures_of(read_evaluation(path), stage, target)
    except ArtefactError as error:
        log.warning("the card says nothing of what was measured: %s", error)
        return ""
    if not figures:
        log.warning("the card says nothing of what was measured: %s is of another stage or training", path)
        return ""
    expanded = expanded_of(stage)
    texts = [KOREAN, ENGLISH] if Scripts.of(expanded["tokenizer"]).korean else []
    base = base_tokenizer(expanded)
    return before_and_after(figures, compared(texts, base, target, stage["first_new_id"]) if base else [])


def figures_of(evaluation: Record, stage: Record, target: TokenizerJson) -> dict[str, tuple[Record, Record]]:
    """By source the figures of the base and of a stage.

    Args:
        evaluation: What `evaluate` left in the run.
        stage: The record of the stage.
        target: Its tokenizer.

    Returns:
        Nothing where the evaluation is of another stage: its tokenizer is another, or its figures are not those that
        the stage's record has.
    """
    spelled = hashlib.sha256(target.text.encode()).hexdigest()
    named = [
        model["name"]
        for model in evaluation["models"]
        if model["kind"] == "stage" and model["stage"] == stage["stage"] and model["tokenizer"] == spelled
    ]
    whole = {
        (row["model"], row["source"]): row
        for row in evaluation["figures"]
        if row["script"] == ALL and row["source"] != ALL and None not in (row["bits_per_byte"], row["tokens_per_word"])
    }
    if not named or any(_differs(whole.get((named[0], source)), said) for source, said in _recorded(stage).items()):
        return {}
    sources = [source for model, source in whole if model == named[0] and ("base", source) in whole]
    return {source: (whole["base", source], whole[named[0], source]) for source in sources}


def _recorded(stage: Record) -> Record:
    # What a stage in 4 bits was measured with is not what it left.
    found: Record = {} if "qlora" in stage else stage.get("evaluation", {}).get("sources", {})
    return found


def _differs(row: Record | None, said: Record) -> bool:
    if row is None or (row["bytes"], row["tokens"]) != (said["bytes"], said["tokens"]):
        return False  # of other text: nothing can be said
    return bool(abs(row["bits_per_byte"] - said["bits_per_byte"]) > _AGREES * said["bits_per_byte"])


def before_and_after(figures: dict[str, tuple[Record, Record]], texts: Sequence[Compared]) -> str:
    """The section, in English and Korean.

    Args:
        figures: Of `figures_of`; where there are none, there is no section.
        texts: Texts in the tokens of base and target.
    """
    if not figures:
        return ""
    said = "On text that no stage was trained on; bits per byte can be compared across tokenizers."
    korean = "학습에 쓰지 않은 글에서 잰 값입니다. 바이트당 비트는 토크나이저가 달라도 견줄 수 있습니다."
    columns = [
        f"{name}, {source}"
        for source in figures
        for name in ("tokens per word (단어당 토큰)", "bits per byte (바이트당 비트)")
    ]
    rows = [
        (name, *(cell for both in figures.values() for cell in (f"{both[at]['tokens_per_word']:.2f}",
                                                                f"{both[at]['bits_per_byte']:.3f}")))
        for at, name in enumerate(("base (기반)", "this model (이 모델)"))
    ]  # fmt: skip
    shown = [_text(each) for each in texts]
    return "\n\n".join(["## Before and after (전과 후)", said, korean, table(["", *columns], rows), *shown])


def _text(each: Compared) -> str:
    base, target = len(each.base), len(each.target)
    said = f"{base} tokens before, {target} after (전 {base}개, 후 {target}개):"
    lines = [visible(each.text), _joined("base", each.base), _joined("this", each.target)]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{said}\n\n{fence}text\n" + "\n".join(lines) + f"\n{fence}"


def _joined(name: str, pieces: Sequence[Piece]) -> str:
    return f"{name}: " + " | ".join(visible(piece.token) for piece in pieces)
