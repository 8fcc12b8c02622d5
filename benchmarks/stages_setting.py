"""The sizes and the arms of stages.py, as data."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
LANGUAGES = {"korean": 83, "english": 17}
"""The sources of the mix, and their shares."""
VALIDATION = 0.02
"""The share of documents that is held out of everything: of tokenizers, of the base, of all runs."""
LONGER = 1.1
"""How much longer than the others the reference is trained: where others are compared with it, it has a figure."""
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Size:
    """How large an experiment is.

    Attributes:
        corpora: Files of the test data.
        bytes: How much of each is used.
        tokens: Of the base.
        new_tokens: Of the grown tokenizers, each.
        min_count: Of refine: low enough that both ways to prune have so many.
        hidden, inner, layers, heads: Of the model.
        length, batch: Tokens of a block, blocks of a step.
        base_steps, base_lr: Of the base.
        steps, lr: Of each arm.
        evaluated: Bytes of each language that are measured on.
        points: Shares of `steps` where single-stage arms are measured.
        new: Tokens of a sample that is timed.
        seeds: By default.
    """

    corpora: dict[str, str]
    bytes: dict[str, int]
    tokens: int
    new_tokens: int
    min_count: int
    hidden: int
    inner: int
    layers: int
    heads: int
    length: int
    batch: int
    base_steps: int
    base_lr: float
    steps: int
    lr: float
    evaluated: int
    points: tuple[float, ...]
    new: int
    seeds: tuple[int, ...] = SEEDS

    @property
    def tokens_per_step(self) -> int:
        """Of a batch."""
        return self.length * self.batch


SMALL = {"korean": "ko_small.jsonl.zst", "english": "en.jsonl.zst"}
SIZES = {
    "smoke": Size(
        SMALL, {"korean": 200_000, "english": 400_000}, 512, 128, 5, 32, 64, 2, 2, 32, 16, 20, 3e-3, 20, 2e-3, 2_000,
        (0.5, 1.0), 8, (1,),
    ),
    "tiny": Size(
        SMALL, {"korean": 12_000_000, "english": 20_000_000}, 2_048, 1_024, 30, 64, 192, 3, 4, 128, 8, 1_000, 3e-3,
        220, 2e-3, 30_000, (0.15, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0), 64,
    ),
    "full": Size(
        SMALL | {"korean": "ko.parquet"}, {"korean": 40_000_000, "english": 20_000_000}, 16_384, 8_192, 30, 512,
        1_408, 8, 8, 512, 32, 900, 1e-3, 200, 5e-4, 100_000, (0.15, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0), 64,
    ),
}  # fmt: skip

EVERYTHING = [{"input_rows": "all", "output_rows": "all", "layers": True}]


@dataclass(frozen=True)
class Arm:
    """One way to go from the base to a Korean model.

    Attributes:
        about: What it is.
        schedule: Its stages: a preset's name, or a list.
        model: The model that it starts from: none (the base as it is), mean, leaf or threshold.
        bias: Whether Korean text is biased towards new tokens.
        stages: Settings by stage.
    """

    about: str
    schedule: str | list[dict[str, Any]] = "eeve"
    model: str = "leaf"
    bias: bool = True
    stages: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def single(self) -> bool:
        """Whether it has one stage, of which every step is the end of a shorter run."""
        return self.schedule != "eeve"


REFERENCE = "c"
ARMS = {
    "a": Arm("no expansion, all at once", EVERYTHING, "none", bias=False),
    "b": Arm("rows round the mean, all at once", EVERYTHING, "mean"),
    "c": Arm("rows of subwords, all at once", EVERYTHING),
    "d": Arm("KoSOLAR's single stage", "kosolar"),
    "e": Arm("EEVE's seven stages"),
    "f": Arm("seven stages, no bias", bias=False),
    "g": Arm("seven stages, pruned by threshold", model="threshold"),
    "h": Arm("seven stages, the first distills", stages={1: {"label_mode": "distill"}}),
}
QUESTIONS = [
    ("Does expansion beat none?", "c", "a"),
    ("Do rows of subwords beat rows round the mean?", "c", "b"),
    ("Do seven stages beat all at once?", "e", "c"),
    ("Does KoSOLAR's single stage beat all at once?", "d", "c"),
    ("Do seven stages beat KoSOLAR's one?", "e", "d"),
    ("Does the bias help?", "e", "f"),
    ("Does pruning by leaf beat threshold?", "e", "g"),
    ("Does a first stage that distills help?", "h", "e"),
]
"""What is asked, the arm that is said to be better, and the other."""


def stage_steps(steps: int) -> list[int]:
    """How `steps` are shared out among the seven stages: as configs/stages/eeve.yaml does."""
    stages = yaml.safe_load((ROOT / "configs" / "stages" / "eeve.yaml").read_text())["stages"]
    tokens = [stages[number]["tokens"] for number in sorted(stages)]
    ends = [round(steps * sum(tokens[: at + 1]) / sum(tokens)) for at in range(len(tokens))]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
