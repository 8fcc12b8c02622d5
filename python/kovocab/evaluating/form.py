"""The form of evaluation.json: which keys it has, of which types; what they mean is in `docs/evaluating.md`."""

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from kovocab.forms import Natural, Number, Positive, Size


class EvaluatedRun(TypedDict):
    """How far the run is that was measured."""

    stages: Natural | None
    finished: Natural


class EvaluationText(TypedDict):
    """What of a source was measured on."""

    source: str
    documents: Positive
    of: Positive
    bytes: Positive
    words: Natural
    sha256: str


class EvaluatedModel(TypedDict):
    """A model that was measured."""

    name: str
    kind: Literal["base", "expanded", "stage", "export", "model"]
    stage: Positive | None
    dtype: str
    parameters: Natural
    rows: Size
    tokens: Size
    first_new_id: Size | None
    new_tokens: Size
    tokenizer: str
    start: str
    context: Positive
    stride: Positive
    seconds: Number
    used: Number | None
    produced: Number | None


class Figure(TypedDict):
    """What a model makes of some documents."""

    model: str
    source: str
    script: str
    documents: Natural
    bytes: Natural
    words: Natural
    tokens: Natural
    nats: Number
    bits_per_byte: Number | None
    tokens_per_word: Number | None
    bytes_per_token: Number | None
    one_token: Number | None
    two_tokens: Number | None
    new_token_share: Number | None
    used: Number | None


class EvaluationSample(TypedDict):
    """How a model went on from a prompt."""

    model: str
    prompt: str
    text: str
    tokens: list[str]
    new: list[bool]


class LeftOut(TypedDict):
    """A model that was not measured."""

    model: str
    why: str


class UnlearnedToken(TypedDict):
    """A new token, and how far it is learned."""

    id: Size
    token: str | None
    need: Number
    trained: Number | None
    input_norm: Number
    output_norm: Number
    repeats: bool
    repeat_probability: Number
    held_out: Natural
    predicted: Natural
    recall: Number | None
    surprise: Number | None


class TaskScore(TypedDict):
    """What lm_eval gave a model."""

    model: str
    task: str
    metric: str
    value: Number
    stderr: Number | None
    samples: Natural | None


class Needs(TypedDict):
    """How the needs of new tokens are spread."""

    least: Number
    half: Number
    most: Number


class Unlearned(TypedDict):
    """What a model has not learned of its new tokens."""

    model: str
    file: str | None
    tokens: Positive
    repeated: Number
    in_text: Natural
    predicted: Natural
    recall: Number | None
    surprise: Number | None
    need: Needs
    neediest: list[UnlearnedToken]


class EvaluationSettings(TypedDict):
    """How it was measured."""

    documents: Positive | None
    bytes: Positive | None
    context: Positive | None
    stride: Positive | None
    new_tokens: Natural
    prompts: list[str]


class Evaluation(TypedDict):
    """What evaluate leaves."""

    verb: Literal["evaluate"]
    run: EvaluatedRun | None
    settings: EvaluationSettings
    versions: dict[str, str]
    device: str
    texts: Annotated[list[EvaluationText], Meta(min_length=1)]
    models: Annotated[list[EvaluatedModel], Meta(min_length=1)]
    figures: list[Figure]
    samples: list[EvaluationSample]
    left_out: list[LeftOut]
    unlearned: Unlearned | None
    tasks: list[TaskScore]
