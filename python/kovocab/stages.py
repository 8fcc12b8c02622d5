"""Stages as data: which rows and layers train. No torch here.

The table of the EEVE report (arXiv 2402.14714) and of the two model cards. A stage is a row of it.
"""

from dataclasses import dataclass
from typing import Literal

from kovocab.errors import UsageError

Rows = Literal["none", "new", "all"]
"""Which rows of an embedding matrix train. `old` alone is nobody's stage."""

Block = Literal["input_old", "input_new", "output_old", "output_new", "layers"]
"""What is frozen or trained as a whole: the halves of both embeddings, and everything else."""

LabelMode = Literal["plain", "first_piece", "old_vocab", "distill"]
"""What a stage trains towards.

- `plain`: the next token.
- `first_piece`: its first base piece, where it is a new token.
- `old_vocab`: the same, of old tokens alone: new ones have no part in the softmax.
- `distill`: no labels; the hidden states that the model had with the base's spelling of the text.
"""

ROW_BLOCKS: tuple[Block, ...] = ("input_old", "input_new", "output_old", "output_new")
"""The blocks that are rows of an embedding. A split model's parameters carry these names, with `_bias` for a
head's bias, so patterns find them in every architecture."""


@dataclass(frozen=True)
class Stage:
    """What one stage trains; everything else is frozen.

    Attributes:
        input_rows: Rows of the input embeddings that train.
        output_rows: Rows of the output embeddings that train.
        layers: Whether everything that is neither embedding trains.
    """

    input_rows: Rows = "none"
    output_rows: Rows = "none"
    layers: bool = False

    def __post_init__(self) -> None:
        """Refuse a stage that trains nothing."""
        if self.input_rows == self.output_rows == "none" and not self.layers:
            raise UsageError("a stage trains nothing: give input_rows, output_rows or layers")

    @property
    def blocks(self) -> frozenset[str]:
        """The blocks that train: of input_old, input_new, output_old, output_new, layers."""
        found = {f"input_{rows}" for rows in _blocks(self.input_rows)}
        found |= {f"output_{rows}" for rows in _blocks(self.output_rows)}
        return frozenset(found | ({"layers"} if self.layers else set()))

    @property
    def patterns(self) -> list[str]:
        """The same as patterns over the parameter names of a split model, for `StageFreezing`.

        A pattern that begins with `!` takes back what those before it chose.
        """
        if self.layers:
            return ["*", *(f"!*.{block}*" for block in ROW_BLOCKS if block not in self.blocks)]
        return [f"*.{block}*" for block in ROW_BLOCKS if block in self.blocks]


def _blocks(rows: Rows) -> tuple[str, ...]:
    return {"none": (), "new": ("new",), "all": ("old", "new")}[rows]


STAGES: dict[str, tuple[Stage, ...]] = {
    "eeve": (
        Stage(input_rows="new"),
        Stage(output_rows="new"),
        Stage(input_rows="new", output_rows="new"),
        Stage(output_rows="all"),
        Stage(input_rows="new", output_rows="all"),
        Stage(input_rows="all", output_rows="all", layers=True),
        Stage(layers=True),
    ),
    "kosolar": (Stage(input_rows="new", output_rows="all"),),
}
"""The schedules of the two cards: seven stages, and one (which is EEVE's fifth)."""
